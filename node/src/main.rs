//! From arguments to an exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for the whole process, before anything can ask for another.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nothing in this process installed a provider before");
    comity::cli::main()
}
