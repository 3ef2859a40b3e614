//! What the system counts of a process: processor time and memory.

use std::{fs, io, time::Duration};

/// The unit of processor time in /proc on every Linux this runs on.
const TICK_MS: u64 = 10;

/// Processor time a process has used, all threads, in the system's hundredths of a second.
///
/// # Errors
/// When there is no such process.
pub fn processor(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may hold anything; user and system time are the 12th and 13th after it.
    let mut rest = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
    let mut ticks = || rest.next().and_then(|ticks| ticks.parse::<u64>().ok());
    let sum = ticks().zip(ticks()).map(|(user, system)| user + system);
    Ok(Duration::from_millis(sum.ok_or(io::ErrorKind::InvalidData)? * TICK_MS))
}

/// Memory of a process in KiB, by the name of a line: `VmRSS` is what is resident, `RssAnon` what of it no file
/// stands behind.
///
/// # Errors
/// When there is no such process, or no such line.
pub fn memory_kib(process: u32, line: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let told = status.lines().find_map(|told| told.strip_prefix(line)?.strip_prefix(':'));
    let kib = told.and_then(|told| told.trim().trim_end_matches(" kB").parse().ok());
    kib.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_figures_and_one_that_does_not_has_none() {
        let here = std::process::id();
        assert!(processor(here).is_ok());
        let [all, anonymous] = ["VmRSS", "RssAnon"].map(|line| memory_kib(here, line).expect("a figure"));
        assert!(0 < anonymous && anonymous <= all);
        assert!(memory_kib(here, "Vm").is_err(), "the name of a line is given whole");
        assert!(processor(u32::MAX).is_err() && memory_kib(u32::MAX, "VmRSS").is_err());
    }
}
