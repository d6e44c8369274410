//! BioTorch's options of the feedback-alignment family: norm constraint and
//! gradient clip.

use biorule::config::ParamValue;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{RuleChoice, number};
use biorule_tests::feedback::trial::Trial;
use biorule_tests::numbers::{distance, values};
use candle_core::Tensor;

use crate::networks::{choice, convolutional, dense, everything, name, sgd};

/// Under the norm constraint the weight keeps its norm and still learns; BioTorch's keeps its
/// direction for ever.
#[test]
fn constrained_weights_keep_their_norm_and_learn() -> Result<()> {
    let norm =
        |t: &Tensor| -> Result<f64> { Ok(values(t)?.iter().map(|v| v * v).sum::<f64>().sqrt()) };
    for rule in ["fa", "usf", "brsf", "frsf"] {
        let rule = RuleChoice::new(
            &format!("feedback-alignment/{rule}"),
            &[("constrain_weights", ParamValue::Bool(true))],
        );
        let mut trial = dense(&rule, &sgd(0.5))?;
        let start = everything(&trial)?;
        let mut losses = Vec::new();
        for _ in 0..20 {
            losses.push(trial.step()?.loss);
        }
        // The step after the last one rescales what the last one made, and at rate 0 stops there.
        trial.step_with_rate(0.0)?;
        for block in ["first", "second", "last"] {
            let weight = name(block, "weight");
            let (before, after) = (&start[&weight], trial.tensor(&weight)?);
            let change = norm(&after)? / norm(before)?;
            assert!(
                (change - 1.0).abs() < 1e-12,
                "{}, {block}: {change}",
                rule.name
            );
            let turned = distance(&after, before)?;
            assert!(
                turned > 0.01,
                "{}, {block} is frozen: {turned:e}",
                rule.name
            );
        }
        assert!(losses[19] < 0.8 * losses[0], "{}: {losses:?}", rule.name);
    }
    Ok(())
}

/// Everything that a layer returns lies within the limit, and the error below was limited
/// before it went on.
#[test]
fn the_gradient_clip_acts_on_all_that_a_layer_returns() -> Result<()> {
    let limit = 1e-3;
    let clipped = RuleChoice::new("feedback-alignment/fa", &[("gradient_clip", number(limit))]);
    let mut free = convolutional(&choice("feedback-alignment/fa"), &sgd(0.1))?;
    let mut tight = convolutional(&clipped, &sgd(0.1))?;
    let (free_walk, tight_walk) = (free.walk()?, tight.walk()?);
    let mut limited = 0;
    for (name, gradient) in &tight_walk.gradients {
        let largest = values(gradient)?.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(largest <= limit, "{name}: {largest}");
        limited += usize::from(largest == limit);
    }
    assert!(limited >= 4, "hardly anything was limited");
    let last = |trial: &Trial| trial.heard("last").grad_x.ok_or("no error went below");
    let expected = last(&free)?.clamp(-limit, limit)?;
    assert!(distance(&last(&tight)?, &expected)? < 1e-12);
    // The layer below received the limited error, so its own gradients are others.
    let second = name("second", "weight");
    let unlimited = free_walk.gradients[&second].clamp(-limit, limit)?;
    assert!(distance(&tight_walk.gradients[&second], &unlimited)? > 1e-3);
    Ok(())
}
