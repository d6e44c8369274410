//! Unsupervised learning by competing hidden units. Krotov and Hopfield, PNAS
//! 116(16), 2019, in the form of `BioPyTorch` (`BioLinear`, `BioConv2d`).
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input vectors `n`: samples of a dense layer, patches of a convolution |
//! | `W`, `b` | weights `[K, D]` of the units `u`; bias of a dense layer |
//! | `p` | Lebesgue exponent; `S(w) = sign(w)·\|w\|^(p−1)` |
//! | `Q[u,n]` | currents `Σᵢ S(W[u,i])·x[n,i]` |
//! | `G[u,n]` | 1 for the largest current of `n`, −Δ for the k-th largest, else 0 |
//! | `R` | raw update `Σₙ G[u,n]·x[n] − (Σₙ G[u,n]·Q[u,n])·W[u]` |
//!
//! `W ← W + η·R / (max|R| + 10⁻⁵)`; sums over the batch, the divisor makes the step
//! independent of its size. While `Σₙ G·Q > 0` for a unit, the p-norm `Σᵢ|wᵢ|ᵖ` of
//! its weights is drawn to 1; the metric `convergence` is the largest distance from
//! 1 over the units. A unit that is never first or k-th does not move, and keeps
//! that maximum high for good.
//!
//! # Two variants
//! | | `biopytorch` | `original` (the authors' notebook) |
//! | --- | --- | --- |
//! | input | own batch normalisation, no gain or shift | as it comes |
//! | maximum | dense: whole matrix, convolution: each filter; + 10⁻⁵ | whole matrix, at least 10⁻³⁰ |
//! | output | `S(W)·x + b`, running statistics | `W·x` |
//! | bias | dense layers | none |
//!
//! The rate of the original falls linearly by epoch, that of `BioPyTorch`
//! exponentially by batch: both are schedules of the phase.
//!
//! # As the reference does, and where not
//! - The forward pass uses running statistics in training too, and so learning makes
//!   its own currents, from the batch's statistics.
//! - A bias is a weight to an input of ones in learning, and so goes through `S`
//!   there, but is added as it is in the output (`bias_output`). With a bias the
//!   reference reports the convergence of the weights before the step
//!   (`bias_convergence`).
//! - `k = 1`, `p < 1` and a k beyond the units of a group are refused, dilation and
//!   stride go together, and the lower index wins ties: the reference fails, or
//!   does what the backend happens to do.
//! - Groups are separate competitions, as in the reference; a convolution has no bias.

use biorule_plugin_api::prelude::*;

use crate::competition::Ranking;
use crate::input;
use crate::powers::{norms, powered};

hyperparameters! {
    /// Krotov and Hopfield's rule.
    pub struct Krotov {
        /// `biopytorch` normalises its input and its output uses S(W); `original` is the authors' notebook
        variant: String = "biopytorch", one_of ["biopytorch", "original"], source "BioPyTorch biolinear.py; Krotov and Hopfield 2019, notebook";
        /// learning rate where the phase sets no `local_rate`
        lr: f64 = 0.1, range 0.0 => 100.0, source "BioPyTorch biolinear.py, training_step";
        /// Lebesgue exponent p of the weights' norm
        lebesgue_p: f64 = 3.0, range 1.0 => 64.0, source "Krotov and Hopfield 2019, eq. 1";
        /// rank k of the unit that unlearns
        ranking_param: i64 = 2, range 2 => 65536, unit "position", source "Krotov and Hopfield 2019, eq. 9";
        /// strength of unlearning
        delta: f64 = 0.05, range 0.0 => 10.0, source "Krotov and Hopfield 2019, eq. 9";
        /// what the update is divided by: the maximum of the layer, of each filter, or as the variant has it
        normaliser: String = "auto", one_of ["auto", "layer", "filter"], source "BioPyTorch biolinear.py and bioconv2d.py";
        /// bias in the output: as it is, or through S as in learning
        bias_output: String = "plain", one_of ["plain", "powered"], read_if |_rule, layer| layer.has_bias(), source "BioPyTorch biolinear.py, forward";
        /// with a bias, convergence of the weights before the step or after it
        bias_convergence: String = "before", one_of ["before", "after"], read_if |_rule, layer| layer.has_bias(), source "BioPyTorch biolinear.py, training_step";
        /// competition by plain operations, fused in the host's kernel, or fused where there is one
        path: String = "auto", one_of ["auto", "ops", "fused"], source "ours";
    }
}

/// Shares of the last batch: `Σₙ G[u,n]/N`.
const SHARE: &str = "net_share";
/// Convergence before the last step; held only where it is reported.
const BEFORE: &str = "convergence";

/// The sums over a batch that an update is made of.
struct Sums {
    /// `Σₙ G[u,n]·x[n]`, shaped as the weight.
    gx: Tensor,
    /// `Σₙ G[u,n]·Q[u,n]`, `[K]`.
    gq: Tensor,
    /// `Σₙ G[u,n]`, `[K]`.
    g: Tensor,
}

impl LearningRule for Krotov {
    fn info() -> RuleInfo {
        RuleInfo::new("krotov", Credit::Local)
            .summary("the winner learns its input, the k-th unlearns it, weights keep a p-norm")
            .paper("Krotov and Hopfield, PNAS 116(16), 2019; BioPyTorch")
            .claims(
                Claims::LOCAL
                    | Claims::UNSUPERVISED
                    | Claims::NO_WEIGHT_TRANSPORT
                    | Claims::DETERMINISTIC
                    | Claims::FROM_INPUT,
            )
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        let (k, units) = (self.ranking_param, layer.units() / layer.groups());
        if k < 2 || k as usize > units {
            return Err(RuleError::unsupported(format!(
                "`ranking_param` = {k} needs at least {k} units in each group, found {units}: \
                 lower it or widen the layer"
            )));
        }
        if layer.has_bias() && (layer.kind == LayerKind::Conv || self.is_original()) {
            return Err(RuleError::unsupported(
                "a bias is learned by dense layers of `variant = \"biopytorch\"` alone: \
                 set `bias = false`",
            ));
        }
        Ok(())
    }

    fn least_batch(&self, layer: &LayerSpec) -> usize {
        if self.is_original() {
            1
        } else {
            input::least_batch(layer)
        }
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let units = [layer.units()];
        let normal = Init::Normal {
            mean: 0.0,
            std: 1.0,
        };
        let zero = Init::Constant(0.0);
        let mut state = vec![
            StateSpec::new("weight", layer.weight_shape(), normal, Role::Plastic),
            StateSpec::new(SHARE, units, zero, Role::Statistic),
        ];
        if layer.has_bias() {
            state.push(StateSpec::new("bias", units, normal, Role::Plastic));
            if self.bias_convergence == "before" {
                state.push(StateSpec::new(BEFORE, [1], zero, Role::Statistic));
            }
        }
        if !self.is_original() {
            state.extend(input::state(layer));
        }
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        if self.is_original() {
            return Ok(Forward::new(layer.forward(x, &w)?));
        }
        let x = input::frozen(layer, s, x)?;
        let q = layer.forward(&x, &powered(&w, self.lebesgue_p)?)?;
        Ok(Forward::new(match s.find("bias") {
            Some(b) if self.bias_output == "powered" => {
                layer.add_bias(&q, &powered(&b, self.lebesgue_p)?)?
            }
            Some(b) => layer.add_bias(&q, &b)?,
            None => q,
        }))
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, p) = (cx.layer(), self.lebesgue_p);
        let x = input::rows(layer, &a.x)?;
        let (x, mut changes) = if self.is_original() {
            (x, Changes::new())
        } else {
            input::batch(s, &x)?
        };
        let w = s.get("weight")?;
        let bias = s.find("bias");
        let powered_bias = bias.as_deref().map(|b| powered(b, p)).transpose()?;
        let sums = self.sums(layer, &x, &powered(&w, p)?, powered_bias.as_ref())?;

        let (raw, largest) = sums.gx.sub_rows(&sums.gq, &w)?;
        let raw_bias = match &bias {
            Some(b) => Some(sums.g.sub(&b.mul(&sums.gq)?)?),
            None => None,
        };
        let divisor = self.divisor(layer, largest, raw_bias.as_ref())?;
        let rate = cx.rate_or(self.lr);
        let step = w.full_like(&[layer.units()], rate)?.div(&divisor)?;
        if let Some(raw_bias) = raw_bias {
            let step = raw_bias.div(&divisor)?.scale(rate)?;
            if s.find(BEFORE).is_some() {
                let before = self.distances(s)?.max(0, true)?;
                changes = changes.set(BEFORE, before);
            }
            changes = changes.add("bias", step);
        }
        let samples = x.batch()? * layer.positions();
        Ok(changes
            .add_rows("weight", raw, step)
            .set(SHARE, sums.g.scale(1.0 / samples as f64)?))
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        if self.is_original() {
            return layer.feedback(&e.grad_y, &w);
        }
        let gain = input::gain(layer, s, e.x.rank()?)?;
        layer
            .feedback(&e.grad_y, &powered(&w, self.lebesgue_p)?)?
            .mul(&gain)
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        let distances = self.distances(s)?.to_vec()?;
        let convergence = match s.find(BEFORE) {
            Some(before) => before.to_scalar()?,
            // NaN must not vanish in a maximum: a run that diverged has not converged.
            None => distances
                .iter()
                .fold(0.0, |m: f64, &d| if d > m || d.is_nan() { d } else { m }),
        };
        let near = distances.iter().filter(|&&d| d < 0.1).count();
        let shares = s.get(SHARE)?.to_vec()?;
        let idle = shares.iter().filter(|&&g| g == 0.0).count();
        let units = distances.len() as f64;
        Ok(vec![
            Metric::new("convergence", convergence),
            Metric::new("converged_share", near as f64 / units),
            Metric::new("idle_share", idle as f64 / units),
            Metric::new(
                "largest_winner_share",
                shares.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ),
        ])
    }
}

impl Krotov {
    fn is_original(&self) -> bool {
        self.variant == "original"
    }

    /// `|Σᵢ|W'[u,i]|ᵖ − 1|` for each unit, the bias among its weights, `[K]`.
    fn distances(&self, s: &State) -> Result<Tensor> {
        let mut norm = norms(&*s.get("weight")?, self.lebesgue_p)?;
        if let Some(b) = s.find("bias") {
            norm = norm.add(&norms(&b.reshape(&[b.elem_count()?, 1])?, self.lebesgue_p)?)?;
        }
        norm.affine(1.0, -1.0)?.abs()
    }

    /// The sums over all samples and places, for `x` normalised and weights after `S`.
    fn sums(&self, layer: &LayerSpec, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Sums> {
        let ranking = Ranking {
            rank: self.ranking_param as usize,
            delta: self.delta,
        };
        if self.path != "ops" {
            match layer.compete(x, w, b, false, &ranking) {
                Ok(done) => {
                    return Ok(Sums {
                        gx: done.correlation,
                        gq: done.yu,
                        g: done.y_sum,
                    });
                }
                Err(e) if e.is_unsupported() && self.path == "auto" => {}
                Err(e) => return Err(e),
            }
        }
        let q = layer.forward(x, w)?;
        let q = match b {
            Some(b) => layer.add_bias(&q, b)?,
            None => q,
        };
        let g = ranking.factors(layer, &q)?;
        Ok(Sums {
            gx: layer.correlate(x, &g)?,
            gq: layer.sum_bias(&g.mul(&q)?)?,
            g: layer.sum_bias(&g)?,
        })
    }

    /// What the raw update is divided by: `[1]` for the layer or `[K]` by filter, from the
    /// largest magnitude of each filter.
    fn divisor(
        &self,
        layer: &LayerSpec,
        mut largest: Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let by_filter = match self.normaliser.as_str() {
            "filter" => true,
            "layer" => false,
            _ => layer.kind == LayerKind::Conv && !self.is_original(),
        };
        if let Some(bias) = bias {
            largest = largest.maximum(&bias.abs()?)?;
        }
        if !by_filter {
            largest = largest.max(0, true)?;
        }
        if self.is_original() {
            largest.maximum(&largest.full_like(&[1], 1e-30)?)
        } else {
            largest.affine(1.0, 1e-5)
        }
    }
}
