//! What a machine of a ministry is given beside the program.

use std::{path::Path, process::Command};

/// What the unit leaves open to a node that was taken over, by the reckoning of systemd: 10.0 is a service
/// without any protection. What remains is the network, its sockets and the host's root folder, which it needs.
const EXPOSURE_MAX: f64 = 1.4;

#[test]
fn the_unit_leaves_little_open() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the node lies in the workspace");
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager"]).arg(root.join("deploy/comity.service"));
    let Ok(output) = analyze.output() else { return crate::skip("systemd-analyze is not installed") };
    let said = String::from_utf8_lossy(&output.stdout);
    let score =
        said.lines().find_map(|line| line.split("comity.service: ").nth(1)?.split(' ').next()?.parse::<f64>().ok());
    let score = score.unwrap_or_else(|| panic!("no score in {said}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(score > 0.0 && score <= EXPOSURE_MAX, "exposure {score}:\n{said}");
}
