//! How long things may grow. The limits are far above what is usual (most functions under forty
//! lines, most files under four hundred), so that a failure means a thought was not divided.

use super::{
    none,
    source::{Source, is_word, item_end, line_of, words},
    sources,
};

/// Lines a function may have, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 100;
/// Lines a file may have, tests included.
const FILE_LINES_MAX: usize = 800;
/// Written by a machine; no rule about writing applies.
pub(crate) const GENERATED: [&str; 1] = ["proto/src/v1.rs"];
/// Stands in a comment above a function, or in a file's head, that is a table or a plain conversion.
const TABLE_MARK: &str = "tidy: a table";

#[test]
fn functions_and_files_stay_short() {
    let read = sources();
    let mut functions: Vec<Function> = read.iter().flat_map(functions).collect();
    functions.sort_by_key(|f| std::cmp::Reverse(f.lines));
    println!("the longest ten functions:");
    functions.iter().take(10).for_each(|f| println!("{:5} {}:{} {}", f.lines, f.path, f.line, f.name));
    let mut files: Vec<(usize, &str)> = read.iter().map(|s| (s.text.lines().count(), s.path.as_str())).collect();
    files.sort_by(|a, b| b.cmp(a));
    println!("the longest ten files:");
    files.iter().take(10).for_each(|(lines, path)| println!("{lines:5} {path}"));
    none(
        &read.iter().flat_map(too_long).collect::<Vec<_>>(),
        "a function has at most 100 lines and a file 800: divide the thought, or mark a table as one",
    );
}

struct Function {
    path: String,
    name: String,
    line: usize,
    lines: usize,
}

fn too_long(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let head_says_table = source.text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.contains(TABLE_MARK));
    let file = (lines > FILE_LINES_MAX && !head_says_table).then(|| format!("{}: {lines} lines", source.path));
    let long = functions(source).into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX);
    let long = long.map(|f| format!("{}:{}: `{}` has {} lines", f.path, f.line, f.name, f.lines));
    file.into_iter().chain(long).collect()
}

/// Every function with a body that is not marked as a table.
fn functions(source: &Source) -> Vec<Function> {
    let code = &source.code;
    let read = |at: usize| {
        let name: String = code[at + 3..].bytes().take_while(|b| is_word(*b)).map(char::from).collect();
        let end = item_end(code, at);
        let is_function = !name.is_empty() && code[..end].ends_with('}');
        let line = line_of(code, at);
        let lines = 1 + line_of(code, end) - line;
        (is_function && !marked(source, line)).then(|| Function { path: source.path.clone(), name, line, lines })
    };
    words(code, "fn").filter(|at| code[at + 2..].starts_with(' ')).filter_map(read).collect()
}

/// True if the comments and attributes directly above a line bear the mark.
fn marked(source: &Source, line: usize) -> bool {
    let above: Vec<&str> = source.text.lines().take(line - 1).collect();
    let attached = |l: &&&str| l.trim_start().starts_with("//") || l.trim_start().starts_with("#[");
    above.iter().rev().take_while(attached).any(|l| l.contains(TABLE_MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, breaches: usize) {
        let found = too_long(&Source::new("x.rs", text));
        assert_eq!(found.len(), breaches, "{found:?}");
    }

    #[test]
    fn what_is_too_long_is_found() {
        let function = |lines: usize| format!("pub fn long() {{\n{}}}\n", "    a(\"}\");\n".repeat(lines - 2));
        check(&function(100), 0);
        check(&function(101), 1);
        check(&format!("/// A list (tidy: a table).\n#[must_use]\n{}", function(101)), 0);
        check(&"// line\n".repeat(800), 0);
        check(&"// line\n".repeat(801), 1);
        check(&format!("//! Codes. tidy: a table\n{}", "// line\n".repeat(801)), 0);
        check("trait T { fn declared(f: fn(u8) -> [u8; 4]); }", 0);
    }
}
