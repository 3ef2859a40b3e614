//! `comity bench ledger`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Measured, ms, place, remove};
use crate::{
    bench::{
        Figures, Load,
        grouped::drive_raw,
        ledger::{Again, drive_ledger, reopen},
        median,
    },
    cli::{Context, fault::CliFault, show::table},
};

/// How much, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records of each round.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    records: u64,
    /// Writers who each wait for their answer.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    writers: u16,
    /// Bytes of a record.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=1_000_000))]
    bytes: u32,
    /// Rounds in which both take turns; medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Make the files here, so that this disk is measured. The folder for temporary files if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// One sync is what an append can never be faster than: so many are made to know it.
const SYNCS: u64 = 500;

pub(super) fn measure(args: &Args, context: &Context) -> Result<Measured, CliFault> {
    let place = place(args.dir.as_deref())?;
    let measured = rounds(args, &place, context);
    remove(&place)?;
    let Rounds { one, raw, ours, again } = measured?;
    Ok(Measured { object: object(args, one, raw, ours, &again), text: text(one, raw, ours, &again) })
}

struct Rounds {
    one: Figures,
    raw: Figures,
    ours: Figures,
    again: Again,
}

fn rounds(args: &Args, place: &Path, context: &Context) -> Result<Rounds, CliFault> {
    let bytes = usize::try_from(args.bytes).unwrap_or(usize::MAX);
    let load = Load { records: args.records, writers: args.writers.into(), bytes };
    let alone = Load { records: SYNCS, writers: 1, bytes };
    let (mut one, mut raw, mut ours, mut again) = (Vec::new(), Vec::new(), Vec::new(), None);
    for round in 1..=args.rounds {
        context.out.say(&format!("round {round} of {}", args.rounds));
        let folder = |name: &str| place.join(format!("{name}-{round}"));
        one.push(drive_raw(&folder("one"), alone)?);
        raw.push(drive_raw(&folder("raw"), load)?);
        ours.push(drive_ledger(&folder("ledger"), load)?);
        again = Some(reopen(&folder("ledger"))?);
        for name in ["one", "raw", "ledger"] {
            remove(&folder(name))?;
        }
    }
    let again = again.expect("there is at least one round");
    Ok(Rounds { one: median(&one), raw: median(&raw), ours: median(&ours), again })
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
fn verified_per_s(again: &Again) -> f64 {
    again.verified.records as f64 / again.verify.as_secs_f64()
}

fn object(args: &Args, one: Figures, raw: Figures, ours: Figures, again: &Again) -> Value {
    let figures = |run: Figures| json!({ "per_s": run.per_s, "p50_ms": run.p50.as_secs_f64() * 1e3, "p99_ms": run.p99.as_secs_f64() * 1e3, "disk": run.disk });
    json!({
        "schema": "comity/bench-ledger/v1",
        "records": args.records, "writers": args.writers, "bytes": args.bytes, "rounds": args.rounds,
        "one_synced_append": figures(one), "plain_file": figures(raw), "ledger": figures(ours),
        "ledger_beside_plain_file": ours.per_s / raw.per_s,
        "open_ms": again.open.as_secs_f64() * 1e3, "verified_per_s": verified_per_s(again),
    })
}

fn text(one: Figures, raw: Figures, ours: Figures, again: &Again) -> String {
    let row = |name: &str, run: Figures| {
        let rate = run.per_s / raw.per_s;
        let syncs = run.p99.as_secs_f64() / one.p50.as_secs_f64();
        let name = name.to_owned();
        [
            name,
            format!("{:.0}", run.per_s),
            format!("{rate:.2}"),
            ms(run.p50),
            ms(run.p99),
            format!("{syncs:.1}"),
            format!("{:.2}", run.disk),
        ]
    };
    let rows = [row("one at a time, plain file", one), row("plain file, one sync for all", raw), row("ledger", ours)];
    let head = ["", "a second", "beside plain", "p50", "p99", "p99 in syncs", "disk a byte"];
    format!(
        "{}\n\nThe ledger opened again in {}; {:.0} records a second verified.",
        table(head, &rows),
        ms(again.open),
        verified_per_s(again),
    )
}
