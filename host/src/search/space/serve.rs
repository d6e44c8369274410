//! Whether the rules of a space can serve the layers of its candidates.

use candle_core::DType;

use super::{Skeleton, Space, Style, template};
use crate::nn::{InputShape, Outline, RuleSource};
use crate::{Error, Result};

/// Rows and columns of the maps that rules are bound on; even, as reductions need.
const SIDE: usize = 8;

/// Binds the rule of every candidate to its layers, at each stride that it may have, on maps of
/// `channels` channels; nothing is allocated.
///
/// # Errors
/// What a rule says of a layer that it cannot serve, with the candidate's name; a plugin error for
/// a rule that no plugin has.
pub fn check(
    space: &Space,
    style: &Style,
    channels: usize,
    rules: &dyn RuleSource,
    dtype: DType,
) -> Result<()> {
    let strides: &[usize] = match space.skeleton {
        Skeleton::Darts => &[1, 2],
        Skeleton::NasBench201 => &[1],
    };
    let input = InputShape {
        dims: vec![channels / space.partial, SIDE, SIDE],
        outputs: 2,
    };
    for candidate in &space.candidates {
        for stride in strides {
            let blocks = template::blocks(candidate, style, "candidate", input.dims[0], *stride);
            Outline::of(&blocks, &input, rules, dtype).map_err(|e: Error| {
                e.within(format!("candidate `{candidate}` at stride {stride}"))
            })?;
        }
    }
    Ok(())
}
