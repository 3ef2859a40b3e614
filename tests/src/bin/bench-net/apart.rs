//! Plain TLS between two processes: what evidence stands beside when no disk is in its way. The taker is the
//! process that was asked; it starts the giver, which ends with it. Start at [`run`].

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpListener, time::Instant};

use super::{Figure, Loose, give, plain, plain::Cipher, processor, take};

/// What two nodes agree on where the processor has instructions for it.
const CIPHER: Cipher = Cipher::Aes;
/// A byte with which the giver says that it is ready, and is answered: both sides then begin.
const READY: usize = 1;

/// Takes so many MiB from a second process, or gives them to the address that follows.
pub(crate) async fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Loose> {
    let mib: usize = arguments.next().map(|mib| mib.parse()).transpose()?.unwrap_or(1024);
    match arguments.next() {
        Some(address) => giver(&address, mib << 20).await,
        None => taker(mib).await,
    }
}

/// Prints the figures of both; what the giver used it says itself.
async fn taker(mib: usize) -> Result<(), Loose> {
    let (listener, bytes) = (TcpListener::bind("127.0.0.1:0").await?, mib << 20);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["apart", &mib.to_string(), &listener.local_addr()?.to_string()]);
    let giver = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut end = plain::accepted(CIPHER, &listener).await?;
    end.read_exact(&mut [0; READY]).await?;
    let (began, used) = (Instant::now(), processor());
    end = give(end, READY).await?;
    take(&mut end, bytes).await?;
    let (took, used) = (began.elapsed(), processor() - used);
    drop(end);
    let told: Value = serde_json::from_slice(&giver.wait_with_output()?.stdout)?;
    let theirs = Duration::from_micros(told["processor_us"].as_u64().ok_or("the giver says nothing")?);
    let Figure { gb_per_s, cpu_s_per_gb } = Figure::of(bytes, took, used + theirs);
    println!("{}", json!({ "mib": mib, "gb_per_s": gb_per_s, "cpu_s_per_gb": cpu_s_per_gb }));
    Ok(())
}

async fn giver(address: &str, bytes: usize) -> Result<(), Loose> {
    let mut end = give(plain::dialled(CIPHER, address).await?, READY).await?;
    end.read_exact(&mut [0; READY]).await?;
    let before = processor();
    let mut end = give(end, bytes).await?;
    let used = processor() - before;
    // Held until the taker has all and lets go, in whichever way.
    end.read_to_end(&mut Vec::new()).await.ok();
    println!("{}", json!({ "processor_us": used.as_micros() }));
    Ok(())
}
