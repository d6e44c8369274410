//! SoftHebb. Journé, Rodriguez, Guo and Moraitis, "Hebbian deep learning without
//! feedback", ICLR 2023; Moraitis, Toichkin, Journé, Chua and Guo, "SoftHebb",
//! Neuromorphic Computing and Engineering 2, 2022. Defaults and details as in
//! NeuromorphicComputing/SoftHebb (hebbconv.py, hebblinear.py).
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input, `[B, C, H, W]` or `[B, D]` |
//! | `W`, `b` | weight, `w_k` the synapses of unit `k`; bias of the soft rules |
//! | `p` | `lebesgue_p`; `ŵ = sign(w)·|w|^(p−1)`, which is `w` for p = 2 |
//! | `u = A(x; ŵ) + b` | pre-activation and output; `A` is the layer's map |
//! | `y` | post-synaptic factor of the competition, at each position over the units of a group |
//! | `β` | `t_invert`, the inverse temperature of the soft competitions |
//! | `R_k = ‖w_k‖_p` | radius |
//! | `η_k` | rate |
//!
//! | competition | `y` |
//! | --- | --- |
//! | `hard` | 1 for the winner `argmax u`, else 0 |
//! | `hard-krotov` | the same, and −δ for the unit of rank r |
//! | `soft` | `s = softmax(β·u)` |
//! | `soft-krotov` | `+s` for the winner, `−s` for all others: what the papers call SoftHebb |
//! | `supervised` | 1 for the target's unit, else 0: a Hebbian classifier |
//!
//! The update, once a batch, sums running over samples and positions:
//!
//! ```text
//! Δw_k = Σ y_k·x − (Σ y_k·u_k)·w_k         Hebb minus Oja's decay
//! Δw   ← Δw / (max|Δw| + 1e-30)            one maximum for each group of channels
//! w_k  ← w_k + η_k·Δw_k
//! η_k  = lr·(|R_k − 1| + 1e-10)^power_lr   `adaptive`; else one η for the layer (rates.rs)
//!
//! Δb_k = (Σ y_k − N·e^(β·b_k)) / e^(β·b_k)  N = samples × positions
//! b_k  ← b_k + η_k·λ·Δb_k / (max|Δb| + 1e-30),  λ = 0.1/β (convolution), 1/β (dense)
//! ```
//!
//! `y` and `u` come from the weights before the update, the decay uses the raw
//! `w` for every `p`. Dividing by the largest entry makes a division by batch
//! size or positions needless.
//!
//! Where the reference does otherwise, and why not here:
//! - Its conv layers crash with a bias, its dense ones with bias and adaptive
//!   rate; here both work, by the formulas above.
//! - Its dense Krotov competition overwrites the entry of rank r, the
//!   convolutional one subtracts (they differ for r = 1); both are kept.
//! - δ and r do nothing in its `soft-krotov`; the two variants that use them
//!   (`krotov_mode` 1 and 2) are in its code but out of reach.
//! - A rate of a loaded layer is that of its random initial weights until the
//!   first update; here it always follows from the present weights.
//! - Its win counts never restart and include evaluation; here they are those of
//!   the epoch. `nb_train` works with every rate.

use biorule_plugin_api::prelude::*;

use crate::competition::{Contest, Kind};
use crate::rates::{Decay, Position};
use crate::{gpu, init, metrics, plain};

hyperparameters! {
    /// SoftHebb and its relatives. Defaults are those of the reference's convolutions.
    pub struct SoftHebb {
        /// how pre-activations become post-synaptic factors
        competition: String = "soft-krotov", one_of ["hard", "hard-krotov", "soft", "soft-krotov", "supervised"], source "SoftHebb hebbconv.py, hebblinear.py";
        /// learning rate; a phase that schedules its own rate replaces it
        lr: f64 = 0.009, range 0.0 => 10.0, source "SoftHebb layer.py: 0.009 convolution, 0.05 dense";
        /// how the rate changes: with each unit's radius, or one rate that falls or stays
        rate: String = "adaptive", one_of ["adaptive", "linear", "exp", "constant"], source "Journé 2023, section 3.3; SoftHebb layer.py";
        /// exponent of the radius-dependent rate
        power_lr: f64 = 0.75, range 0.0 => 10.0, read_if |rule, _layer| rule.rate == "adaptive", source "SoftHebb layer.py: 0.75 convolution, 0.2 dense; presets 0.5";
        /// speed of the exponential decay
        speed: f64 = 7.0, range 0.000001 => 1000.0, read_if |rule, _layer| rule.rate == "exp", source "SoftHebb layer.py: 7 convolution, 0.4 dense";
        /// the exponential decay ends at lr divided by this
        lr_div: f64 = 96.0, range 1.0 => 1000000000.0, read_if |rule, _layer| rule.rate == "exp", source "SoftHebb layer.py: 96 convolution, 100 dense";
        /// inverse temperature of the soft competitions
        t_invert: f64 = 96.0, range 0.000001 => 1000000.0, read_if |rule, _layer| rule.kind().soft(), source "SoftHebb layer.py: 96 convolution, 10 dense; presets 0.25 to 12";
        /// weight of the punished unit in the Krotov competitions; nothing in soft-krotov mode 0
        delta: f64 = 2.0, range 0.0 => 1000.0, read_if |rule, _layer| rule.kind().ranks(rule.krotov_mode), source "SoftHebb layer.py: 2 convolution, 0.1 dense";
        /// rank of the punished unit, 1 for the winner; nothing in soft-krotov mode 0
        ranking_param: i64 = 3, range 1 => 100000, unit "position", read_if |rule, _layer| rule.kind().ranks(rule.krotov_mode), source "SoftHebb layer.py";
        /// soft-krotov: 0 all but the winner negative, 1 the unit of rank r times −δ, 2 that unit −δ
        krotov_mode: i64 = 0, range 0 => 2, read_if |rule, _layer| rule.kind() == Kind::SoftKrotov, source "SoftHebb hebbconv.py; 1 and 2 out of reach there";
        /// order p of effective weights and radii
        lebesgue_p: i64 = 2, range 2 => 64, source "Krotov and Hopfield 2019, eq. 1; SoftHebb hebbconv.py";
        /// convolutions: u becomes max(0, u − mean over channels) before anything else uses it
        pre_triangle: bool = false, source "SoftHebb hebbconv.py";
        /// radius that the initial weights are drawn for
        radius: f64 = 25.0, range 0.000001 => 1000000.0, source "SoftHebb layer.py: 25 convolution, 10 dense";
        /// initial weights: normal behind a normalisation and uniform from 0 elsewhere (auto), or one of the two
        weight_init: String = "auto", one_of ["auto", "normal", "positive"], source "SoftHebb layer.py, hebbconv.py";
        /// added to the initial weights of dense layers
        weight_init_offset: f64 = 0.0, range -1000.0 => 1000.0, read_if |_rule, layer| layer.kind == LayerKind::Dense, source "SoftHebb hebblinear.py";
        /// units that learn, counted from the first; 0 for all
        nb_train: i64 = 0, range 0 => 1000000000, unit "units", source "SoftHebb hebbconv.py";
        /// whether Σ y of each unit before the change of sign is counted over the epoch, which costs a second competition where the sign matters
        track_wins: bool = false, source "SoftHebb hebbconv.py, stat row 2; per epoch: ours";
        /// tensor operations, the fused competitive step of the CPU, or the fastest there is: fused, or this rule's kernel on a GPU
        path: String = "auto", one_of ["auto", "ops", "fused"], source "ours; same result";
    }
}

/// Sums over samples and positions that learning needs.
struct Sums {
    /// `Σ y·x`, shaped as the weight.
    correlation: Tensor,
    /// `Σ y·u`, `[K]`.
    yu: Tensor,
    /// `Σ y`, `[K]`.
    y_sum: Tensor,
}

impl LearningRule for SoftHebb {
    fn info() -> RuleInfo {
        RuleInfo::new("softhebb", Credit::Local)
            .summary("soft or hard winner-take-all with Oja's decay, no feedback, no labels")
            .paper("Journé, Rodriguez, Guo and Moraitis, ICLR 2023")
            .claims(
                Claims::LOCAL
                    | Claims::NO_WEIGHT_TRANSPORT
                    | Claims::UNSUPERVISED
                    | Claims::DETERMINISTIC,
            )
            .uses_target()
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        let kind = self.kind();
        let (rivals, conv) = (
            layer.units() / layer.groups(),
            layer.kind == LayerKind::Conv,
        );
        if kind == Kind::Supervised && conv {
            return Err(RuleError::unsupported(
                "`competition` = `supervised` needs a dense layer",
            ));
        }
        if kind == Kind::Supervised && layer.units() < layer.classes() {
            return Err(RuleError::unsupported(format!(
                "`competition` = `supervised` needs a unit for each class, found {} units for {} classes",
                layer.units(),
                layer.classes()
            )));
        }
        if kind.ranks(self.krotov_mode) && self.ranking_param as usize > rivals {
            return Err(RuleError::unsupported(format!(
                "`ranking_param` = {} but only {rivals} units compete",
                self.ranking_param
            )));
        }
        if self.pre_triangle && !conv {
            return Err(RuleError::unsupported("`pre_triangle` needs a convolution"));
        }
        if layer.has_bias() && !kind.soft() {
            return Err(RuleError::unsupported(format!(
                "`competition` = `{}` has no rule for a bias, set `bias` = false",
                self.competition
            )));
        }
        Ok(())
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let units = layer.units();
        let mut state = vec![StateSpec::new(
            "weight",
            layer.weight_shape(),
            init::weight(self, layer),
            Role::Plastic,
        )];
        if layer.has_bias() {
            state.push(StateSpec::new(
                "bias",
                [units],
                init::bias(self, units),
                Role::Plastic,
            ));
        }
        if self.shares() {
            let unset = Init::Constant(metrics::UNSET);
            state.push(StateSpec::new(
                "hebbian_share",
                [metrics::RECENT],
                unset,
                Role::Statistic,
            ));
        }
        if self.track_wins {
            state.push(StateSpec::new(
                "wins",
                [units],
                Init::Constant(0.0),
                Role::Statistic,
            ));
        }
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        let (layer, bias) = (cx.layer(), s.find("bias"));
        let weight = self.effective(&*s.get("weight")?)?;
        if cx.learning() && self.may_fuse(x)? {
            let contest = self.contest(layer);
            match layer.compete(x, &weight, bias.as_deref(), self.pre_triangle, &contest) {
                Ok(c) => {
                    return Ok(Forward::new(c.u)
                        .keep("correlation", c.correlation)
                        .keep("yu", c.yu)
                        .keep("y_sum", c.y_sum));
                }
                Err(e) if self.path == "auto" && e.is_unsupported() => {}
                Err(e) => return Err(e),
            }
        }
        let mut u = layer.forward(x, &weight)?;
        if let Some(bias) = bias {
            u = layer.add_bias(&u, &bias)?;
        }
        if self.pre_triangle {
            // The mean is over all channels, also across groups (hebbconv.py).
            u = u.sub(&u.mean_keepdim(&[1])?)?.relu()?;
        }
        Ok(Forward::new(u))
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        let sums = self.sums(layer, a)?;

        let (dw, largest) = sums.correlation.sub_rows(&sums.yu, &w)?;
        let eta = self.rate(cx, &w)?;
        let step = eta.div(&largest_of_group(&largest, layer.groups())?)?;
        let mut changes = Changes::new().add_rows("weight", dw, step);

        if let Some(b) = s.find("bias") {
            let n = (a.y.elem_count()? / layer.units()) as f64;
            let e = b.scale(self.t_invert)?.exp()?;
            let db = sums.y_sum.sub(&e.scale(n)?)?.div(&e)?;
            let db = db.div(&largest_of_group(&db.abs()?, 1)?)?;
            changes = changes.add("bias", db.scale(self.bias_rate(layer))?.mul(&eta)?);
        }
        for (name, value) in metrics::statistics(self, cx, s, a, &sums.y_sum)? {
            changes = changes.set(name, value);
        }
        Ok(changes)
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        let weight = self.effective(&*s.get("weight")?)?;
        if !self.pre_triangle {
            return cx.layer().feedback(&e.grad_y, &weight);
        }
        // u = max(0, v − mean v): where u is above 0 the error passes, less its mean over channels.
        let above = e.y.sign()?.mul(&e.grad_y)?;
        let below = above.sub(&above.mean_keepdim(&[1])?)?;
        cx.layer().feedback(&below, &weight)
    }

    fn metrics(&self, cx: &Context, s: &State) -> Result<Vec<Metric>> {
        metrics::metrics(self, cx, s)
    }
}

impl SoftHebb {
    /// The competition's kind; the schema admits no other words.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.competition)
    }

    /// The competition on tiles, for units of `layer`.
    pub fn contest(&self, layer: &LayerSpec) -> Contest {
        Contest {
            kind: self.kind(),
            gain: self.t_invert,
            delta: self.delta,
            rank: self.ranking_param as usize,
            mode: self.krotov_mode,
            overwrite: layer.kind == LayerKind::Dense,
        }
    }

    /// Whether the fused step is wanted and knows this competition.
    fn may_fuse(&self, x: &Tensor) -> Result<bool> {
        let known = Contest::knows(self.kind(), self.ranking_param as usize, self.krotov_mode);
        Ok(match self.path.as_str() {
            "fused" if !known => {
                return Err(RuleError::unsupported(format!(
                    "`path` = `fused` does not know `competition` = `{}` with `ranking_param` = {}, set `path` = `auto`",
                    self.competition, self.ranking_param
                )));
            }
            "fused" => true,
            "auto" => known && x.on_cpu()?,
            _ => false,
        })
    }

    /// `ŵ = sign(w)·|w|^(p−1) = w·|w|^(p−2)`.
    fn effective(&self, w: &Tensor) -> Result<Tensor> {
        match self.lebesgue_p {
            2 => Ok(w.clone()),
            3 => w.mul(&w.abs()?),
            p => w.mul(&w.abs()?.powf((p - 2) as f64)?),
        }
    }

    /// The sums that `forward` kept, or the same by tensor operations.
    fn sums(&self, layer: &LayerSpec, a: &Activity) -> Result<Sums> {
        if a.kept.find("correlation").is_some() {
            return Ok(Sums {
                correlation: a.kept.get("correlation")?.clone(),
                yu: a.kept.get("yu")?.clone(),
                y_sum: a.kept.get("y_sum")?.clone(),
            });
        }
        let u = &*a.y;
        let y = match self.kind() {
            Kind::Supervised => clamped(a, layer.units())?,
            _ => self.factors(layer, u)?,
        };
        Ok(Sums {
            correlation: layer.correlate(&a.x, &y)?,
            yu: layer.sum_bias(&y.mul(u)?)?,
            y_sum: layer.sum_bias(&y)?,
        })
    }

    /// Post-synaptic factors, by this rule's own kernel where there is a GPU.
    fn factors(&self, layer: &LayerSpec, u: &Tensor) -> Result<Tensor> {
        let contest = self.contest(layer);
        if self.path != "ops"
            && let Some(y) = gpu::factors(&contest, layer, u)?
        {
            return Ok(y);
        }
        plain::factors(&contest, layer, u)
    }

    /// `η_k`, `[K]`, from the present weights `w` or the place in the phase.
    pub fn rate(&self, cx: &Context, w: &Tensor) -> Result<Tensor> {
        let (units, lr) = (cx.layer().units(), cx.rate_or(self.lr));
        let eta = match Decay::of(&self.rate) {
            None => {
                let off = metrics::radius(self, w)?.affine(1.0, -1.0)?.abs()?;
                off.affine(1.0, 1e-10)?.powf(self.power_lr)?.scale(lr)?
            }
            // A phase with a schedule has decided the rate of this step.
            Some(_) if cx.rate_is_scheduled() => w.full_like(&[units], lr)?,
            Some(decay) => {
                let position = Position {
                    step: cx.step(),
                    batch: cx.batch(),
                    samples: cx.samples(),
                    epochs: cx.epochs(),
                };
                w.full_like(&[units], decay.rate(lr, self.speed, self.lr_div, &position))?
            }
        };
        let learners = self.nb_train as usize;
        if learners == 0 || learners >= units {
            return Ok(eta);
        }
        let mask: Vec<f64> = (0..units)
            .map(|k| f64::from(u8::from(k < learners)))
            .collect();
        eta.mul(&w.values_like(&[units], &mask)?)
    }

    /// `λ`, the bias's share of the rate.
    fn bias_rate(&self, layer: &LayerSpec) -> f64 {
        match layer.kind {
            LayerKind::Conv => 0.1 / self.t_invert,
            LayerKind::Dense => 1.0 / self.t_invert,
        }
    }

    /// Whether part of a unit's activity learns with the sign reversed at all positions.
    pub fn shares(&self) -> bool {
        self.kind() == Kind::SoftKrotov && self.krotov_mode == 0
    }
}

/// `y` of a Hebbian classifier with `units` units: 1 for the target's, else 0.
///
/// Targets are labels, or one column for each class; units beyond the classes stay silent.
fn clamped(a: &Activity, units: usize) -> Result<Tensor> {
    let target = a.target.as_ref().ok_or_else(|| {
        RuleError::rule("`competition` = `supervised` learns from labels, and this phase has none")
    })?;
    let (u, dtype) = (&*a.y, a.y.dtype()?);
    if target.dtype()? == DType::U32 {
        return target.one_hot(units, dtype)?.reshape(&u.shape()?);
    }
    let (batch, classes) = (target.dim(0)?, target.dim(1)?);
    let target = target.to_dtype(dtype)?;
    match units - classes.min(units) {
        0 => Ok(target),
        silent => Tensor::cat(&[&target, &u.full_like(&[batch, silent], 0.0)?], 1),
    }
}

/// For each unit, the largest magnitude in its group (plus 1e-30) from the largest of each unit, `[K]`.
fn largest_of_group(largest: &Tensor, groups: usize) -> Result<Tensor> {
    let rivals = largest.elem_count()? / groups;
    let most = largest.reshape(&[groups, rivals])?.max(1, true)?;
    let most = most.affine(1.0, 1e-30)?.broadcast_as(&[groups, rivals])?;
    most.reshape(&[groups * rivals])
}
