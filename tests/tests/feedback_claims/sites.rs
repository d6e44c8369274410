//! Every rule on every kind of layer: dense, and convolutions with each stride,
//! dilation, grouping and padding mode. Backpropagation is compared with finite
//! differences elsewhere; here it is the reference, once with the rule's own weight
//! (for the gradients that no rule changes), once with what stands in its place.

use biorule_tests::Result;
use biorule_tests::feedback::plans::word;
use biorule_tests::feedback::single::{Single, Site, below, gradient};
use biorule_tests::numbers::{distance, noise, values};
use candle_core::{DType, Tensor};

use crate::gradients::sites;
use crate::networks::ALL;
use crate::singles::bound;

/// The step at which brSF draws.
const STEP: u64 = 2;
const CLASSES: usize = 3;

/// Backpropagation at `site` through `weight`.
fn through(site: &Site, weight: &Tensor) -> Result<Single> {
    let mut single = bound("backprop", &[], site)?;
    single.set("weight", weight.clone())?;
    Ok(single)
}

/// What stands in the weight's place, by the rule's definition.
fn stand_in(rule: &str, single: &Single, x: &Tensor) -> Result<Tensor> {
    let weight = single.get("weight")?;
    Ok(match rule.rsplit('/').next().unwrap_or(rule) {
        "backprop" => weight.clone(),
        "usf" => {
            // Glorot's deviation, whose fans are those of the weight.
            let (units, fan_in) = (weight.dims()[0], weight.elem_count() / weight.dims()[0]);
            let kernel: usize = weight.dims()[2..].iter().product();
            (weight.sign()? * (2.0 / (fan_in + units * kernel) as f64).sqrt())?
        }
        "brsf" => {
            let kept = single.forward(STEP, x)?.kept;
            let (_, magnitude) = kept
                .iter()
                .find(|(n, _)| n == "magnitude")
                .ok_or("none kept")?;
            (weight.sign()? * magnitude.abs()?)?
        }
        "frsf" => (weight.sign()? * single.get("magnitude")?.abs()?)?,
        _ => single.get("feedback")?.clone(),
    })
}

/// The output's error at every position and, once more, for every group.
fn spread(e: &Tensor, single: &Single, groups: usize) -> Result<Tensor> {
    let [_, p, q] = single.output[..] else {
        return Ok(e.clone());
    };
    let each = Tensor::cat(&vec![e; groups], 1)?;
    let (n, channels) = each.dims2()?;
    let map = each.reshape((n, channels, 1, 1))?;
    Ok(map.broadcast_as((n, channels, p, q))?.contiguous()?)
}

fn same(own: &Tensor, reference: &Tensor, what: &str) -> Result<()> {
    let error = distance(own, reference)?;
    assert!(error < 1e-12, "{what}: {error:e}");
    Ok(())
}

#[test]
fn every_rule_does_the_same_on_every_kind_of_layer() -> Result<()> {
    for (name, site) in sites() {
        for rule in ALL {
            let what = format!("{rule}, {name}");
            let direct = rule.starts_with("direct");
            let params = match direct {
                true => vec![("layout", word("kernel"))],
                false => Vec::new(),
            };
            let single = bound(rule, &params, &site)?;
            let x = noise(1, &[vec![4], site.input.clone()].concat(), DType::F64)?;
            let grad_y = noise(2, &single.output_for(4), DType::F64)?;
            let e = noise(3, &[4, CLASSES], DType::F64)?;
            let out = single.backward(STEP, &x, &grad_y, Some(&e))?;

            // The layer's own gradients are everybody's.
            let truth = through(&site, single.get("weight")?)?.backward(STEP, &x, &grad_y, None)?;
            for part in ["weight", "bias"] {
                if single.has(part) {
                    same(gradient(&out, part)?, gradient(&truth, part)?, &what)?;
                }
            }
            if rule == "kolen-pollack" {
                let (b, w) = (gradient(&out, "feedback")?, gradient(&out, "weight")?);
                assert_eq!(values(b)?, values(w)?, "{what}");
            }

            let b = stand_in(rule, &single, &x)?;
            let (at, grad) = if direct {
                let groups = b.dims()[0] / CLASSES;
                let at = Site {
                    units: groups * CLASSES,
                    bias: false,
                    ..site.clone()
                };
                let grad = spread(&e, &single, groups)?;
                (at, grad)
            } else {
                (site.clone(), grad_y.clone())
            };
            let reference = through(&at, &b)?.backward(STEP, &x, &grad, None)?;
            same(below(&out)?, below(&reference)?, &what)?;
        }
    }
    Ok(())
}
