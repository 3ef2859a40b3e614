//! Rust source as the tidy rules see it: comments and literal contents blanked out, test code set
//! apart. A scanner, not a parser: it knows comments, literals and brackets, which is all the
//! rules need, and it reads code that rustfmt and the compiler have already accepted.

/// One file, in the three ways the rules read it. All three have the same length in lines.
pub(crate) struct Source {
    /// From the root of the tree, with forward slashes.
    pub(crate) path: String,
    /// As written.
    pub(crate) text: String,
    /// Comments and the insides of literals are spaces.
    pub(crate) code: String,
    /// As `code`, and test code is spaces too.
    pub(crate) product: String,
    /// String literals of the product, with the line each starts on.
    pub(crate) literals: Vec<(usize, String)>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, literals) = Scanner::over(text);
        let product = without_tests(&code);
        let of_product = |at: &usize| product.as_bytes()[*at] == b'"';
        let literals = literals.into_iter().filter(|(at, _)| of_product(at)).map(|(at, s)| (line_of(&code, at), s));
        Self { path: path.into(), text: text.into(), literals: literals.collect(), product, code }
    }

    /// The lines that are test code, as written: comments count, since they cite clauses.
    pub(crate) fn test_text(&self) -> String {
        let lines = self.text.lines().zip(self.code.lines().zip(self.product.lines()));
        let mut inside = false;
        let mut out = String::new();
        for (text, (code, product)) in lines {
            // A line without code (a comment, a blank) belongs with what stands around it.
            inside = if code.trim().is_empty() { inside } else { code != product };
            if inside {
                out.push_str(text);
                out.push('\n');
            }
        }
        out
    }

    fn all_test(mut self) -> Self {
        self.product = blank(&self.code, 0, self.code.len());
        self.literals.clear();
        self
    }
}

/// Reads files and marks those that only a test build compiles (`#[cfg(test)] mod name;`).
pub(crate) fn read(files: impl Iterator<Item = (String, String)>) -> Vec<Source> {
    let sources: Vec<Source> = files.map(|(path, text)| Source::new(&path, &text)).collect();
    let only_tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| {
        path.starts_with("tests/")
            || only_tests.iter().any(|m| path == format!("{m}.rs") || path.starts_with(&format!("{m}/")))
    };
    sources.into_iter().map(|s| if is_test(&s.path) { s.all_test() } else { s }).collect()
}

/// Paths, without `.rs`, of the modules this file declares for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = module_folder(&source.path);
    let declared = |(at, mark): (usize, &str)| {
        let rest = source.code[at + mark.len()..].trim_start();
        let rest = rest.strip_prefix("pub(crate) ").or_else(|| rest.strip_prefix("pub ")).unwrap_or(rest);
        let name = rest.strip_prefix("mod ")?.split_once(';')?.0.trim();
        is_name(name).then(|| format!("{folder}/{name}"))
    };
    source.code.match_indices("#[cfg(test)]").filter_map(declared).collect()
}

/// Where the child modules of a file lie.
fn module_folder(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    let owns_folder = ["/mod", "/lib", "/main"].iter().find_map(|end| stem.strip_suffix(end));
    owns_folder.unwrap_or(stem).to_owned()
}

/// The line a byte stands on, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count()
}

/// True of an identifier.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_word)
}

/// True of a byte that can stand in an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `word` stands as a whole word.
pub(crate) fn words<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let after = bytes.get(at + word.len());
        !before.is_some_and(is_word) && !after.copied().is_some_and(is_word)
    })
}

/// The end of the item that starts at `from`: past its closing brace or semicolon.
pub(crate) fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b'}' if depth <= 1 => return at + usize::from(depth == 1),
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn without_tests(code: &str) -> String {
    if code.contains("#![cfg(test)]") {
        return blank(code, 0, code.len());
    }
    let mut out = code.to_owned();
    for mark in ["#[cfg(test)]", "#[cfg(all(test", "#[test]"] {
        while let Some(at) = out.find(mark) {
            let end = item_end(&out, past_attributes(&out, at));
            out = blank(&out, at, end);
        }
    }
    out
}

fn past_attributes(code: &str, mut at: usize) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        let mut depth = 0_i32;
        let closes = |byte: u8| {
            depth += i32::from(byte == b'[') - i32::from(byte == b']');
            byte == b']' && depth == 0
        };
        at += code[at..].bytes().position(closes).map_or(code.len() - at, |end| end + 1);
    }
}

fn blank(code: &str, from: usize, to: usize) -> String {
    let spaced: String = code[from..to].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
    [&code[..from], &spaced, &code[to..]].concat()
}

/// Walks the text once and writes the blanked copy. The copy is ASCII, so that a place in it is
/// both a byte and a character.
struct Scanner {
    chars: Vec<char>,
    at: usize,
    code: String,
    literals: Vec<(usize, String)>,
}

impl Scanner {
    fn over(text: &str) -> (String, Vec<(usize, String)>) {
        let mut scanner = Self { chars: text.chars().collect(), at: 0, code: String::new(), literals: Vec::new() };
        while scanner.at < scanner.chars.len() {
            scanner.step();
        }
        (scanner.code, scanner.literals)
    }

    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn step(&mut self) {
        let after_word = self.code.bytes().last().is_some_and(is_word);
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.hide_until(|s| s.peek(0) == '\n'),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(0, true),
            ('r', '"' | '#') if !after_word || self.after_prefix() => self.raw_string(),
            ('\'', _) => self.char_or_lifetime(),
            _ => self.keep(),
        }
    }

    /// True after the `b` or `c` of `br"…"` and `cr"…"`.
    fn after_prefix(&self) -> bool {
        let mut back = self.code.bytes().rev();
        matches!(back.next(), Some(b'b' | b'c')) && !back.next().is_some_and(is_word)
    }

    fn keep(&mut self) {
        let c = self.peek(0);
        self.code.push(if c.is_ascii() { c } else { ' ' });
        self.at += 1;
    }

    fn hide(&mut self) {
        self.code.push(if self.peek(0) == '\n' { '\n' } else { ' ' });
        self.at += 1;
    }

    fn hide_until(&mut self, end: impl Fn(&Self) -> bool) {
        while self.at < self.chars.len() && !end(self) {
            self.hide();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.hide();
                    continue;
                }
            }
            self.hide();
            self.hide();
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening quote; `hashes` follow the closing one, and only plain strings escape.
    fn string(&mut self, hashes: usize, escapes: bool) {
        let (place, from) = (self.code.len(), self.at + 1);
        self.keep();
        while self.at < self.chars.len() {
            if escapes && self.peek(0) == '\\' {
                self.hide();
            } else if self.peek(0) == '"' && (1..=hashes).all(|n| self.peek(n) == '#') {
                break;
            }
            self.hide();
        }
        self.literals.push((place, self.chars[from..self.at.min(self.chars.len())].iter().collect()));
        (0..=hashes).for_each(|_| self.keep());
    }

    fn raw_string(&mut self) {
        let hashes = self.chars[self.at + 1..].iter().take_while(|c| **c == '#').count();
        if self.peek(1 + hashes) != '"' {
            return self.keep(); // a raw identifier
        }
        (0..=hashes).for_each(|_| self.keep());
        self.string(hashes, false);
    }

    fn char_or_lifetime(&mut self) {
        let is_char = self.peek(1) == '\\' || self.peek(2) == '\'';
        self.keep();
        if is_char {
            let escaped = self.peek(0) == '\\';
            self.hide();
            if escaped {
                self.hide();
            }
            self.hide_until(|s| s.peek(0) == '\'');
            self.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str) {
        let source = Source::new("x.rs", text);
        assert_eq!(source.product, code, "{text}");
        assert_eq!(source.code.lines().count(), text.lines().count(), "{text}");
    }

    #[test]
    fn comments_and_literals_are_blank() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("x\"y", 'z', '\'', '"') g"#, r#"f("    ", ' ', '  ', ' ') g"#);
        check("r#\"a\"b\"# + br\"q\" + 'static r#type", "r#\"   \"# + br\" \" + 'static r#type");
        check("\"é\" x", "\" \" x");
    }

    #[test]
    fn test_code_is_set_apart() {
        check("a;\n#[cfg(test)]\nmod tests { fn b() {} }\nc;", "a;\n            \n                       \nc;");
        check("#[cfg(test)] use a::b; c", "                       c");
        check("#[test]\n#[x([])]\nfn f(a: [u8; 4]) { b }\nd", "       \n        \n                      \nd");
        let source =
            Source::new("x.rs", "fn a() {}\n// out\n#[cfg(test)]\nmod t {\n    // in [Z-1]\n    fn b() {}\n}\n");
        assert_eq!(source.test_text(), "#[cfg(test)]\nmod t {\n    // in [Z-1]\n    fn b() {}\n}\n");
    }

    #[test]
    fn modules_declared_for_tests_are_tests() {
        let files = [("a/lib.rs", "#[cfg(test)]\nmod sim;\nmod b;"), ("a/sim.rs", "x();"), ("a/b.rs", "y();")];
        let read = read(files.into_iter().map(|(path, text)| (path.into(), text.into())));
        assert_eq!(read.iter().map(|s| s.product.trim()).collect::<Vec<_>>(), ["mod b;", "", "y();"]);
    }
}
