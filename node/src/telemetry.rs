//! Log lines: fields, not prose, on standard error, as text for people or JSON for collectors.
//!
//! Each room logs under its own name as `target` ([`ROOMS`]). What may never be in a line: names, facts
//! of a case, keys, evidence. Secrets have no `Debug`, so that they cannot slip in; libraries are heard
//! from `warn` upwards only, whatever level is asked for, since nobody here chose their words; a panic is
//! logged by its place, and by its words only when those are fixed in the code.
//!
//! Start at [`start`] and [`install_panic_hook`], both called first thing in `main`.

use std::{
    any::Any,
    cell::Cell,
    fmt,
    panic::{PanicHookInfo, UnwindSafe, catch_unwind},
    str::FromStr,
};

use tracing::Subscriber;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt::{MakeWriter, format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
};

/// The rooms that log, each under its own name.
pub const ROOMS: [&str; 13] = [
    "api",
    "cli",
    "config",
    "dashboard",
    "engine",
    "evidence",
    "keys",
    "net",
    "panic",
    "runtime",
    "store",
    "telemetry",
    "time",
];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One object per line, for collectors.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What stops work.
    Error,
    /// What someone should look at.
    Warn,
    /// What happens in a day.
    Info,
    /// Each step.
    Debug,
    /// Everything.
    Trace,
}

/// Why logging could not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryFault {
    /// `COMITY_LOG` does not read.
    #[error(
        "telemetry.bad-directive: logging did not start: COMITY_LOG has {0:?}. \
         Write ROOM=LEVEL, separated by commas, for example net=debug,store=trace"
    )]
    BadDirective(String),
    /// Something in this process logs already.
    #[error(
        "telemetry.started-twice: logging did not start: it was started before in this process. This is a bug; report it"
    )]
    StartedTwice,
}

impl TelemetryFault {
    /// The stable code, as in `comity explain CODE`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadDirective(_) => "telemetry.bad-directive",
            Self::StartedTwice => "telemetry.started-twice",
        }
    }
}

/// Starts logging to standard error. `rooms` is the text of `COMITY_LOG`: other levels for single rooms.
///
/// # Errors
/// When `rooms` names no room or level, or logging was started before.
pub fn start(format: Format, level: Level, rooms: Option<&str>) -> Result<(), TelemetryFault> {
    let subscriber = subscriber(format, heard(level, rooms.unwrap_or_default())?, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryFault::StartedTwice)
}

/// From now on a panic in any thread is logged and ends the process, except within [`guarded`].
///
/// The process aborts because a panic is a broken belief: what is on disk is whole, and the next start
/// replays it; what is in memory cannot be trusted.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let ends = !GUARDED.get();
        tracing::error!(target: "panic", place, says = fixed_words(panic), ends, "bug");
        if ends {
            std::process::abort();
        }
    }));
}

/// Runs `work`, whose panic is returned and does not end the process. For the one place where that is
/// known and answered: opening the index, which is set aside and rebuilt. Holds for this thread only.
///
/// # Errors
/// [`Panicked`] when `work` did.
pub fn guarded<T>(work: impl FnOnce() -> T + UnwindSafe) -> Result<T, Panicked> {
    let before = GUARDED.replace(true);
    let done = catch_unwind(work);
    GUARDED.set(before);
    done.map_err(|_: Box<dyn Any + Send>| Panicked)
}

/// What was run by [`guarded`] panicked. The log has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A message that was formatted may quote anything: a name, a body, a key. A literal is code.
fn fixed_words(panic: &PanicHookInfo<'_>) -> &'static str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(withheld: it was composed at run time)")
}

fn heard(level: Level, rooms: &str) -> Result<Targets, TelemetryFault> {
    let everywhere = Targets::new().with_default(LevelFilter::WARN.min(level.filter()));
    let all = ROOMS.iter().fold(everywhere, |heard, room| heard.with_target(*room, level.filter()));
    let directives = rooms.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    directives.into_iter().try_fold(all, |heard, directive| {
        let bad = || TelemetryFault::BadDirective(directive.to_owned());
        let (room, level) = directive.split_once('=').ok_or_else(bad)?;
        let level: Level = level.parse().map_err(|_| bad())?;
        let room = ROOMS.iter().find(|known| **known == room).ok_or_else(bad)?;
        Ok(heard.with_target(*room, level.filter()))
    })
}

fn subscriber<W>(format: Format, heard: Targets, out: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Colour codes would end in files and collectors; every line reads without them.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(out).with_timer(RoomTime);
    match format {
        Format::Text => Box::new(tracing_subscriber::registry().with(lines.with_filter(heard))),
        Format::Json => {
            Box::new(tracing_subscriber::registry().with(lines.json().flatten_event(true).with_filter(heard)))
        }
    }
}

/// Log lines carry the time of the one room that reads the clock.
struct RoomTime;

impl FormatTime for RoomTime {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        out.write_str(&crate::time::rfc3339(crate::time::now()))
    }
}

impl Level {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// A word that is not one of the allowed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWord;

impl FromStr for Level {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for Format {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::Command,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Keeps what is written, for the test to read.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: Level, rooms: &str, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let out = kept.clone();
        let subscriber = subscriber(format, heard(level, rooms).expect("reads"), move || out.clone());
        tracing::subscriber::with_default(subscriber, work);
        let bytes = kept.0.lock().expect("one thread").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn json_lines_carry_fields_target_and_our_time() {
        let text = logged(Format::Json, Level::Info, "", || {
            let _span = tracing::info_span!(target: "net", "link", peer = "XB").entered();
            tracing::info!(target: "net", bytes = 12, "link-up");
            tracing::debug!(target: "net", "quiet");
        });
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object on one line");
        assert_eq!((&line["target"], &line["level"]), (&"net".into(), &"INFO".into()));
        assert_eq!(
            (&line["message"], &line["bytes"], &line["span"]["peer"]),
            (&"link-up".into(), &12.into(), &"XB".into())
        );
        let time = line["timestamp"].as_str().expect("a time");
        assert!(crate::time::parse_rfc3339(time).is_ok(), "{time}");
    }

    #[test]
    fn rooms_are_heard_at_their_level_and_libraries_from_warn() {
        let check = |level, rooms: &str, expected: &[&str]| {
            let text = logged(Format::Text, level, rooms, || {
                tracing::debug!(target: "net", "net-debug");
                tracing::info!(target: "store", "store-info");
                tracing::info!(target: "libp2p_swarm", "library-info");
                tracing::warn!(target: "libp2p_swarm", "library-warn");
                tracing::error!(target: "panic", "panic-error");
            });
            let said: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
            assert_eq!(said, expected, "{level:?} {rooms}");
            assert!(!text.contains('\u{1b}'), "no colour codes");
        };
        check(Level::Info, "", &["store-info", "library-warn", "panic-error"]);
        check(Level::Info, "net=debug", &["net-debug", "store-info", "library-warn", "panic-error"]);
        check(Level::Trace, "store=error", &["net-debug", "library-warn", "panic-error"]);
        check(Level::Error, "", &["panic-error"]);
    }

    #[test]
    fn a_directive_names_a_room_and_a_level() {
        for bad in ["debug", "libp2p=trace", "net=loud", "net=debug;store=debug", "net"] {
            assert_eq!(
                heard(Level::Info, bad).err().map(|fault| fault.code()),
                Some("telemetry.bad-directive"),
                "{bad}"
            );
        }
        for good in ["", " net=debug , store=trace,"] {
            assert!(heard(Level::Info, good).is_ok(), "{good}");
        }
    }

    /// Runs one of the deaths below in a process of its own and gives what it wrote and whether it aborted.
    fn death(which: &str) -> (String, bool) {
        use std::os::unix::process::ExitStatusExt as _;
        const SIGABRT: i32 = 6;
        let out = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "telemetry::tests::a_process_that_panics", "--nocapture"])
            .env("TELEMETRY_TEST_DEATH", which)
            .output()
            .expect("ran");
        (String::from_utf8_lossy(&out.stderr).into_owned(), out.status.signal() == Some(SIGABRT))
    }

    /// Not a test by itself: the process [`death`] starts. Does nothing when run with the others.
    #[test]
    fn a_process_that_panics() {
        let Ok(which) = std::env::var("TELEMETRY_TEST_DEATH") else { return };
        start(Format::Json, Level::Info, None).expect("started");
        install_panic_hook();
        let canary = String::from("canary-4711");
        match which.as_str() {
            "literal" => panic!("the belief that broke"),
            "composed" => panic!("about {canary}"),
            "thread" => drop(std::thread::spawn(|| panic!("in another thread")).join()),
            "guarded" => assert_eq!(guarded(|| panic!("within the guard")), Err::<(), _>(Panicked)),
            _ => unreachable!("no such death"),
        }
    }

    #[test]
    fn a_panic_is_logged_and_aborts() {
        for (which, words) in [("literal", "the belief that broke"), ("thread", "in another thread")] {
            let (text, aborted) = death(which);
            assert!(aborted && text.contains(words) && text.contains("telemetry.rs:"), "{which}: {text}");
        }
    }

    #[test]
    fn composed_words_of_a_panic_are_withheld() {
        let (text, aborted) = death("composed");
        assert!(aborted && text.contains("telemetry.rs:"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn a_guarded_panic_is_logged_and_survived() {
        let (text, aborted) = death("guarded");
        assert!(!aborted && text.contains("within the guard") && text.contains("\"ends\":false"), "{text}");
    }
}
