//! The rule files this version ships, as text: one list, so that node, engine and tests read the same.

/// Name and text of every file in `node/rules/`.
pub const SHIPPED: &[(&str, &str)] = &[
    ("clocks.toml", include_str!("../../../rules/clocks.toml")),
    ("families/assistance.toml", include_str!("../../../rules/families/assistance.toml")),
    ("families/preservation.toml", include_str!("../../../rules/families/preservation.toml")),
    ("forms/assistance.toml", include_str!("../../../rules/forms/assistance.toml")),
    ("forms/common.toml", include_str!("../../../rules/forms/common.toml")),
    ("forms/hand-over.toml", include_str!("../../../rules/forms/hand-over.toml")),
    ("grounds.toml", include_str!("../../../rules/grounds.toml")),
    ("instruments/bc.toml", include_str!("../../../rules/instruments/bc.toml")),
    ("instruments/uncc.toml", include_str!("../../../rules/instruments/uncc.toml")),
    ("lists.toml", include_str!("../../../rules/lists.toml")),
    ("offences.toml", include_str!("../../../rules/offences.toml")),
    ("outcomes.toml", include_str!("../../../rules/outcomes.toml")),
    ("procedures/mla-stored.toml", include_str!("../../../rules/procedures/mla-stored.toml")),
    ("procedures/pres.toml", include_str!("../../../rules/procedures/pres.toml")),
    ("retention.toml", include_str!("../../../rules/retention.toml")),
];
