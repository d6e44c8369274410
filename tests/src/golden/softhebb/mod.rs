//! Recognisers for the golden vectors of NeuromorphicComputing/SoftHebb.

mod block;
mod engine;
mod fields;
mod fullsize;
mod functions;
mod information;
mod layer;
mod network;
mod preset;
mod rates;

use super::Recogniser;

/// All kinds of cases that are covered.
pub fn recognisers() -> Vec<Recogniser> {
    vec![
        layer::RECOGNISER,
        information::RECOGNISER,
        rates::RECOGNISER,
        functions::ACTIVATIONS,
        functions::COMPETITION,
        functions::TRIANGLE,
        functions::POOLING,
        functions::OPERATIONS,
        engine::LABELS,
        engine::WHITENING,
        block::RECOGNISER,
        network::RECOGNISER,
        fields::RECOGNISER,
        fullsize::RECOGNISER,
    ]
}

/// Our name of a reference rule.
pub(crate) fn competition(rule: &str) -> crate::Result<&'static str> {
    Ok(match rule {
        "hard" => "hard",
        "hardkrotov" => "hard-krotov",
        "soft" => "soft",
        "softkrotov" => "soft-krotov",
        "supervisedsoftkrotov" => "supervised",
        other => return Err(format!("no competition for the rule `{other}`").into()),
    })
}
