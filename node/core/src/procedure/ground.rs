//! Guards that more than one family has: the instrument a request is based on, the ground a refusal names.

use super::{Act, Refusal};
use crate::rules::{Code, Procedure, Rules};

/// What is wrong with the instrument an act names, in words.
pub(super) fn wrong_instrument(act: &Act, procedure: &Procedure) -> Result<Option<String>, Refusal> {
    let instrument = act.code("reference.instrument")?;
    let known = procedure.instruments.contains(&instrument);
    Ok((!known).then(|| format!("{instrument} is no basis for {}. Name another instrument", procedure.code)))
}

/// What is wrong with the ground an act names, in a request about these offences.
pub(super) fn wrong_ground(
    act: &Act,
    rules: &Rules,
    procedure: &Procedure,
    offences: &[Code],
) -> Result<Option<String>, Refusal> {
    let code = act.code("ground")?;
    let Some(usage) = procedure.ground(&code) else {
        return Ok(Some(format!("{code} is no ground in {}. Choose one of its grounds", procedure.code)));
    };
    if usage.only_with.is_some() && usage.only_with != act.code_if_any("ground.reservation") {
        return Ok(Some(format!("{code} must name the reservation it relies on. Name it")));
    }
    let barred = usage.never_for.as_ref().and_then(|range| {
        let offences = offences.iter().filter_map(|code| rules.offence(code));
        offences.clone().find(|row| row.is_established_by(&range.instrument, range.first, range.last))
    });
    Ok(barred.map(|row| format!("{code} is closed for {} ({}). Choose another ground", row.code, row.source)))
}
