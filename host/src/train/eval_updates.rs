//! Rules that learn in evaluation too. It is what their reference does, and images that only
//! evaluate then train the network, so the user is told.

use crate::nn::Network;

/// Something that does not end a run but should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A short fixed word for programs.
    pub code: &'static str,
    /// What is so, and where.
    pub text: String,
    /// What to do.
    pub hint: String,
}

/// The warning about `network`, where layers of it learn in evaluation.
#[must_use]
pub fn warning(network: &Network) -> Option<Warning> {
    let layers = network.eval_updates();
    let (_, rule) = layers.first()?;
    let named: Vec<String> = layers
        .iter()
        .map(|(block, rule)| format!("`{block}` (`{rule}`)"))
        .collect();
    Some(Warning {
        code: "learns-in-evaluation",
        text: format!(
            "{} {} in evaluation too: test images train the network, and results depend on how \
             often, in which order and in which batches it is evaluated",
            named.join(", "),
            if named.len() == 1 { "learns" } else { "learn" },
        ),
        hint: format!("`biorule rules describe {rule}` says which of its settings do so"),
    })
}
