//! Statistics that learning keeps, and numbers about a layer from its state: what
//! the reference's log line shows.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `radius_mean`, `radius_std` | of `R_k = ‖w_k‖_p`; unbiased deviation |
//! | `radius_deviation_mean`, `radius_deviation_max` | of `|R_k − mean R|` |
//! | `convergence` | mean of `|R_k − 1|` |
//! | `r1` | units with `|R_k − 1|` below 0.01 (convolution) or 0.005 (dense) |
//! | `rate_mean` | of the next update's rates |
//! | `weight_mean`, `weight_std`, `bias_mean`, `bias_std` | of all entries; unbiased deviation |
//! | `hebbian_share`, `anti_hebbian_share` | mean winner activation of the last ten batches, and 1 minus it |
//! | `wins_max_share`, `winners` | largest share of the epoch's wins, units with any |

use biorule_plugin_api::prelude::*;

use crate::competition::Contest;
use crate::plain;
use crate::rule::SoftHebb;

/// Batches that `hebbian_share` remembers.
pub const RECENT: usize = 10;
/// Stands in `hebbian_share` for batches that have not been.
pub const UNSET: f64 = -1.0;

/// `R_k = ‖w_k‖_p`, `[K]`.
///
/// # Errors
/// The host cannot allocate.
pub fn radius(rule: &SoftHebb, w: &Tensor) -> Result<Tensor> {
    w.row_norms(rule.lebesgue_p as f64)
}

/// `recent` without its oldest entry and with this batch's mean winner activation, where
/// `y_sum` `[K]` are sums of `±s` over `contests` competitions.
///
/// Of each competition, the winner's `s` counts up and all others', `1 − s`, down, so that the
/// sum of its factors is `2s − 1`.
///
/// # Errors
/// Shapes that do not fit.
pub fn push_share(recent: &Tensor, y_sum: &Tensor, contests: f64) -> Result<Tensor> {
    let share = y_sum
        .sum_all()?
        .affine(0.5 / contests, 0.5)?
        .reshape(&[1])?;
    Tensor::cat(&[&recent.narrow(0, 1, RECENT - 1)?, &share], 0)
}

/// New values of the statistics after the batch `a`, whose factors sum to `y_sum` `[K]`.
///
/// # Errors
/// The host lacks an operation.
pub fn statistics(
    rule: &SoftHebb,
    cx: &Context,
    s: &State,
    a: &Activity,
    y_sum: &Tensor,
) -> Result<Vec<(&'static str, Tensor)>> {
    let (layer, mut new) = (cx.layer(), Vec::new());
    if rule.shares() {
        // One competition for each sample, position and group.
        let contests = a.y.elem_count()? / layer.units() * layer.groups();
        let recent = push_share(&*s.get("hebbian_share")?, y_sum, contests as f64)?;
        new.push(("hebbian_share", recent));
    }
    if rule.track_wins {
        let mut wins = match rule.kind().unsigned() {
            Some(kind) => {
                let contest = Contest {
                    kind,
                    ..rule.contest(layer)
                };
                layer.sum_bias(&plain::factors(&contest, layer, &a.y)?)?
            }
            None => y_sum.clone(),
        };
        let first = cx.steps_per_epoch() > 0 && cx.step().is_multiple_of(cx.steps_per_epoch());
        if !first {
            wins = wins.add(&*s.get("wins")?)?;
        }
        new.push(("wins", wins));
    }
    Ok(new)
}

/// All metrics of a layer.
///
/// # Errors
/// The device failed.
pub fn metrics(rule: &SoftHebb, cx: &Context, s: &State) -> Result<Vec<Metric>> {
    let w = s.get("weight")?;
    let near = match cx.layer().kind {
        LayerKind::Conv => 0.01,
        LayerKind::Dense => 0.005,
    };
    let mut all = of_radii(&radius(rule, &w)?.to_vec()?, near);
    all.push(Metric::new(
        "rate_mean",
        mean(&rule.rate(cx, &w)?.to_vec()?),
    ));
    all.extend(moments("weight", &w)?);
    if let Some(bias) = s.find("bias") {
        all.extend(moments("bias", &bias)?);
    }
    if let Some(recent) = s.find("hebbian_share") {
        let seen: Vec<f64> = recent.to_vec()?.into_iter().filter(|&v| v >= 0.0).collect();
        if !seen.is_empty() {
            all.push(Metric::new("hebbian_share", mean(&seen)));
            all.push(Metric::new("anti_hebbian_share", 1.0 - mean(&seen)));
        }
    }
    if let Some(wins) = s.find("wins") {
        let wins = wins.to_vec()?;
        let total: f64 = wins.iter().sum();
        if total > 0.0 {
            let most = wins.iter().copied().fold(0.0, f64::max);
            all.push(Metric::new("wins_max_share", most / total));
            all.push(Metric::new(
                "winners",
                wins.iter().filter(|&&n| n > 0.0).count() as f64,
            ));
        }
    }
    Ok(all)
}

fn of_radii(radii: &[f64], near: f64) -> Vec<Metric> {
    let centre = mean(radii);
    let from_centre: Vec<f64> = radii.iter().map(|r| (r - centre).abs()).collect();
    let from_one: Vec<f64> = radii.iter().map(|r| (r - 1.0).abs()).collect();
    let squares: f64 = from_centre.iter().map(|d| d * d).sum();
    vec![
        Metric::new("radius_mean", centre),
        Metric::new(
            "radius_std",
            (squares / (radii.len().max(2) - 1) as f64).sqrt(),
        ),
        Metric::new("radius_deviation_mean", mean(&from_centre)),
        Metric::new(
            "radius_deviation_max",
            from_centre.iter().copied().fold(0.0, f64::max),
        ),
        Metric::new("convergence", mean(&from_one)),
        Metric::new("r1", from_one.iter().filter(|&&d| d < near).count() as f64),
    ]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean and unbiased standard deviation of all entries, without moving them off the device.
fn moments(name: &str, t: &Tensor) -> Result<[Metric; 2]> {
    let count = t.elem_count()?;
    let mean = t.sum_all()?.to_scalar()? / count as f64;
    let squares = t.affine(1.0, -mean)?.sqr()?.sum_all()?.to_scalar()?;
    let std = (squares / (count.max(2) - 1) as f64).sqrt();
    Ok([
        Metric::new(&format!("{name}_mean"), mean),
        Metric::new(&format!("{name}_std"), std),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radii_of_a_small_layer() {
        let all = of_radii(&[1.0, 2.0, 3.0, 1.004], 0.01);
        let get = |name: &str| all.iter().find(|m| m.name == name).unwrap().value;
        assert!((get("radius_mean") - 1.751).abs() < 1e-12);
        assert!((get("convergence") - 0.751).abs() < 1e-12);
        assert!((get("radius_deviation_mean") - 0.749).abs() < 1e-12);
        assert!((get("radius_deviation_max") - 1.249).abs() < 1e-12);
        let squares = 0.751f64.powi(2) + 0.249f64.powi(2) + 1.249f64.powi(2) + 0.747f64.powi(2);
        assert!((get("radius_std") - (squares / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(get("r1"), 2.0);
    }
}
