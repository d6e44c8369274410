//! Small networks through all phases of training: `network_*`.

use biorule::config::{Drive, Loss, Moment, OptimizerPlan, SchedulePlan};
use biorule::data::Answers;
use biorule::nn::build::Placement;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
use biorule::ops::loss::count_right;
use biorule::train::Engine;
use biorule::train::loss::score;
use biorule::train::neurons::{label_neurons, neuron_accuracy};
use biorule::train::optimizer::Optimizer;
use biorule::train::schedule;
use biorule::train::step::{GradientStep, LocalStep, StepInput};
use candle_core::{DType, Tensor};
use serde_json::Value;

use super::preset::{Settings, pool_kind};
use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};
use crate::plugins::registry;

/// Cases with blocks, phases and batches.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "network",
    understands: |file| {
        ["blocks", "phases"]
            .iter()
            .all(|key| file.find(key).is_some())
            && file.names().any(|name| name.starts_with("init/"))
            && file.has("test_input_0")
    },
    run: |file, checks| Trace::new(file)?.run(checks),
};

/// What the golden files' notes suggest for whole traces in single precision.
const TRACE: f64 = 1e-4;

/// A batch with its labels.
type Batch = (Tensor, Tensor);

struct Trace<'a> {
    file: &'a File,
    /// Metadata of the reference's blocks.
    blocks: Vec<Value>,
    /// For each of them, the indices of ours, as one past the last.
    ends: Vec<usize>,
    engine: Engine<'static>,
    /// For the tensors of the present state.
    trace: Tolerance,
    /// For its losses, which come down to nearly nothing: then only an absolute difference
    /// says something.
    loss: Tolerance,
}

impl<'a> Trace<'a> {
    fn new(file: &'a File) -> Result<Self> {
        let json = file.json("blocks")?;
        let blocks: Vec<Value> = (0..)
            .map_while(|i| json.get(format!("b{i}")))
            .cloned()
            .collect();
        let (mut plans, mut ends) = (Vec::new(), Vec::new());
        for (i, settings) in blocks.iter().enumerate() {
            // Dense weights have two axes.
            let conv = file
                .tensor(&format!("init/blocks.{i}.layer.weight"))?
                .rank()
                == 4;
            plans.extend(
                block_settings(settings, conv)?
                    .parts(&i.to_string())?
                    .whole(),
            );
            ends.push(plans.len());
        }
        let x = file.tensor("test_input_0")?;
        let last = blocks.len().checked_sub(1).ok_or("no blocks")?;
        let outputs = file
            .tensor(&format!("init/blocks.{last}.layer.weight"))?
            .dim(0)?;
        let input = InputShape {
            dims: x.dims()[1..].to_vec(),
            outputs,
        };
        let place = Placement {
            device: crate::device(),
            dtype: DType::F32,
            seed: 0,
        };
        let network = Network::build(&plans, &input, registry(), &place)?;
        Ok(Self {
            file,
            blocks,
            ends,
            engine: Engine::new(network),
            trace: Tolerance::Largest(TRACE),
            loss: Tolerance::Exact,
        })
    }

    fn run(mut self, checks: &mut Checks) -> Result<()> {
        let values: Vec<(String, Tensor)> = self
            .tensors("init")?
            .into_iter()
            .map(|(ours, golden)| Ok((ours, self.file.tensor(&golden)?)))
            .collect::<Result<_>>()?;
        let own: Vec<_> = self.engine.network.tensors();
        self.engine.network.load(&|name| {
            let given = values
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, t)| t.clone());
            given.or_else(|| {
                own.iter()
                    .find(|t| &*t.name == name)
                    .map(|t| t.tensor.copy().ok())?
            })
        })?;
        let phases = self.file.json("phases")?;
        for phase in phases.as_array().ok_or("`phases` is no list")? {
            self.phase(phase, checks)?;
        }
        self.tolerate("final_eval");
        self.engine.network.set_mode(&Mode::default());
        let (x, _) = self.batches("test")?.swap_remove(0);
        let (mut y, mut from) = (x, 0);
        for (i, &end) in self.ends.iter().enumerate() {
            y = self
                .engine
                .network
                .forward(&mut Pass::inference(), &y, from..end)?;
            from = end;
            let name = format!("final_eval/block_{i}_output");
            checks.compare(&name, &y, &self.file.tensor(&name)?, self.trace)?;
        }
        Ok(())
    }

    /// Sets the tolerances for `state`: the usual one, or where the reference's own single
    /// precision is further from its double precision than that, three times as far.
    fn tolerate(&mut self, state: &str) {
        let key = "max_relative_deviation_of_float32_run_from_float64_run";
        let json = self.file.json(key).unwrap_or_default();
        let own = json[state].as_f64().unwrap_or(0.0);
        let relative = TRACE.max(3.0 * own);
        self.trace = Tolerance::Largest(relative);
        self.loss = Tolerance::Each {
            absolute: 1e-5,
            relative,
        };
    }

    /// Pairs of our tensor names and the golden ones in `state` (`init`, `phase_t0`, …).
    fn tensors(&self, state: &str) -> Result<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        for i in 0..self.blocks.len() {
            let golden = |part: &str| {
                let start = format!("{state}/blocks.{i}.");
                let mut names: Vec<&str> = self
                    .file
                    .names()
                    .filter(|n| n.starts_with(&start) && n.ends_with(part))
                    .collect();
                // `operations` come before the norm after the activation.
                names.sort_by_key(|n| !n.contains(".operations."));
                names
            };
            let all = self.engine.network.tensors();
            let prefixes = [format!("blocks.{i}."), format!("blocks.{i}-in.")];
            for part in [
                ".layer.weight",
                ".layer.bias",
                ".running_mean",
                ".running_var",
            ] {
                let ours: Vec<&str> = all
                    .iter()
                    .map(|t| &*t.name)
                    .filter(|n| {
                        prefixes.iter().any(|p| n.starts_with(p.as_str())) && n.ends_with(part)
                    })
                    .collect();
                let theirs = golden(part);
                if ours.len() != theirs.len() {
                    return Err(format!(
                        "{ours:?} in our block {i}, {theirs:?} in the reference's"
                    )
                    .into());
                }
                pairs.extend(
                    ours.iter()
                        .zip(theirs)
                        .map(|(a, b)| (a.to_string(), b.to_string())),
                );
            }
        }
        Ok(pairs)
    }

    /// `start_input_0`, `start_target_0`, …
    fn batches(&self, start: &str) -> Result<Vec<Batch>> {
        (0..)
            .take_while(|i| self.file.has(&format!("{start}_input_{i}")))
            .map(|i| {
                let labels = self.file.tensor(&format!("{start}_target_{i}"))?;
                Ok((
                    self.file.tensor(&format!("{start}_input_{i}"))?,
                    labels.to_dtype(DType::U32)?,
                ))
            })
            .collect()
    }

    fn is_hebbian(&self, block: usize) -> bool {
        self.blocks[block]["preset"]
            .as_str()
            .is_some_and(|p| !p.starts_with("BP"))
    }

    fn phase(&mut self, phase: &Value, checks: &mut Checks) -> Result<()> {
        let blocks: Vec<usize> = list(&phase["blocks"])?;
        let state = format!(
            "phase_{}",
            phase["id"].as_str().ok_or("a phase without id")?
        );
        let epochs = phase["epochs"].as_u64().ok_or("a phase without epochs")?;
        self.tolerate(&state);
        let local = blocks.iter().all(|&b| self.is_hebbian(b));
        let (data, drive) = match phase["mode"].as_str() {
            Some("unsupervised") => ("unsup", Drive::Local),
            Some("supervised") if local => ("sup", Drive::Local),
            Some("supervised") => ("sup", Drive::Gradient),
            Some("hybrid") => ("sup", Drive::Both),
            other => return Err(format!("no phase mode {other:?}").into()),
        };
        let batches = self.batches(data)?;
        let names = self.names(&blocks);
        self.engine.network.set_mode(&Mode {
            blocks: names,
            drive: Some(drive),
        });
        let mut clock = self.clock(&blocks, &batches, epochs)?;
        self.engine.clock = clock.clone();
        if drive == Drive::Local {
            self.engine.set_kind(Box::new(LocalStep));
            for epoch in 0..epochs {
                self.engine.clock.epoch = epoch;
                for batch in &batches {
                    self.engine.step(&input(batch))?;
                }
            }
            clock = self.engine.clock.clone();
        } else {
            let rate = phase["lr"].as_f64().ok_or("a phase without rate")?;
            let log = self.gradient_epochs(&batches, epochs, rate)?;
            self.compare_log(&format!("{state}/batch_log"), &log, checks)?;
        }
        self.compare_state(&state, &blocks, &clock, checks)
    }

    /// Names of our blocks that make up the reference's `blocks`.
    fn names(&self, blocks: &[usize]) -> Vec<String> {
        blocks
            .iter()
            .flat_map(|b| [format!("{b}-in"), b.to_string()])
            .collect()
    }

    /// Rates of local rules follow the schedule that the reference gave to its blocks.
    fn clock(&self, blocks: &[usize], batches: &[Batch], epochs: u64) -> Result<Clock> {
        let batch = batches.first().ok_or("no batches")?.0.dim(0)?;
        let given = blocks.iter().map(|&b| &self.blocks[b]["lr_scheduler"]);
        let schedule = given.clone().find(|s| s["ratio"].is_number());
        let ratio = schedule.and_then(|s| s["ratio"].as_f64());
        Ok(Clock {
            epochs: schedule
                .and_then(|s| s["nb_epochs"].as_u64())
                .unwrap_or(epochs),
            steps_per_epoch: batches.len() as u64,
            batch,
            samples: ratio.map_or(batch * batches.len(), |r| {
                (batch as f64 / r).round() as usize
            }),
            ..Clock::default()
        })
    }

    /// Rows as the reference logs them: samples, mean loss, number right, convergence, R1.
    fn gradient_epochs(
        &mut self,
        batches: &[Batch],
        epochs: u64,
        base: f64,
    ) -> Result<Vec<[f64; 5]>> {
        let plan = OptimizerPlan::Adam {
            lr: base,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
        };
        self.engine.optimizer = Optimizer::new(&plan, 0.0, &self.engine.network.tensors())?;
        let mut log = Vec::new();
        for epoch in 0..epochs {
            self.engine.clock.epoch = epoch;
            let rate = schedule::rate(
                &SchedulePlan::Softhebb,
                base,
                &Moment::at_epoch(epoch, epochs),
            );
            let kind = GradientStep::at_rate(Loss::CrossEntropy, rate);
            self.engine.set_kind(Box::new(kind));
            for batch in batches {
                let sums = self
                    .engine
                    .step(&input(batch))?
                    .ok_or("a step without a loss")?;
                let sums: Vec<f64> = sums.to_dtype(DType::F64)?.to_vec1()?;
                let n = batch.0.dim(0)? as f64;
                let (convergence, r1) = self.radii(&self.engine.clock)?;
                log.push([n, sums[0] / n, sums[1], convergence, r1]);
            }
        }
        Ok(log)
    }

    /// Convergence and R1 of the last Hebbian block; zeros where there is none.
    fn radii(&self, clock: &Clock) -> Result<(f64, f64)> {
        let last = (0..self.blocks.len()).rev().find(|&b| self.is_hebbian(b));
        let Some(last) = last else {
            return Ok((0.0, 0.0));
        };
        Ok((
            self.metric(last, "convergence", clock)?,
            self.metric(last, "r1", clock)?,
        ))
    }

    /// What the rule of one of the reference's blocks reports.
    fn metric(&self, block: usize, metric: &str, clock: &Clock) -> Result<f64> {
        let all = self.engine.network.metrics(clock)?;
        let of_block = all.iter().find(|(name, _)| *name == block.to_string());
        let (_, values) = of_block.ok_or("no metrics")?;
        let found = values.iter().find(|(n, _)| n == metric).map(|(_, v)| *v);
        Ok(found.ok_or_else(|| format!("no metric `{metric}`"))?)
    }

    /// The block whose rate the reference displays: it counts from the end where it means
    /// from the start, and takes the first block where that one is not Hebbian
    /// (SoftHebb, `log.py`).
    fn shown(&self, blocks: &[usize]) -> usize {
        let last = blocks.last().copied().unwrap_or(0);
        let shown = (self.blocks.len() - last) % self.blocks.len();
        if self.is_hebbian(shown) { shown } else { 0 }
    }

    /// Percentages of training and test samples that the neurons' classes get right; zeros
    /// where the last trained block is no dense layer.
    fn neuron_accuracies(&mut self, blocks: &[usize]) -> Result<[f64; 2]> {
        let last = blocks.last().copied().ok_or("a phase without blocks")?;
        let block = self.ends[last] - 1;
        self.engine.network.set_mode(&Mode::default());
        let mut labels = Vec::new();
        let mut percent = [0.0; 2];
        for (part, percent) in ["unsup", "test"].into_iter().zip(&mut percent) {
            let (mut winners, mut activity, mut classes) = (Vec::new(), Vec::new(), Vec::new());
            let mut neurons = 0;
            for (x, of) in self.batches(part)? {
                let pass = &mut Pass::inference();
                let y = self.engine.network.forward_to_layer(pass, &x, (0, block))?;
                let Some(y) = y.filter(|y| y.rank() == 2) else {
                    return Ok([0.0; 2]);
                };
                neurons = y.dim(1)?;
                winners.extend(y.argmax(1)?.to_vec1::<u32>()?);
                activity.extend(y.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?);
                classes.extend(of.to_vec1::<u32>()?);
            }
            if labels.is_empty() {
                // The reference has a column for each neuron, not for each class.
                labels = label_neurons(&winners, &activity, &classes, neurons, neurons);
            }
            *percent = 100.0 * neuron_accuracy(&winners, &classes, &labels);
        }
        Ok(percent)
    }

    fn compare_log(&self, name: &str, log: &[[f64; 5]], checks: &mut Checks) -> Result<()> {
        let golden = self
            .file
            .tensor(name)?
            .to_dtype(DType::F64)?
            .to_vec2::<f64>()?;
        if golden.len() != log.len() {
            checks.problem(format!(
                "{name}: {} rows, expected {}",
                log.len(),
                golden.len()
            ));
            return Ok(());
        }
        let columns = [
            ("samples", Tolerance::Exact),
            ("loss", self.loss),
            ("right", Tolerance::Exact),
            ("convergence", self.trace),
            ("r1", Tolerance::Exact),
        ];
        for (c, (column, tolerance)) in columns.into_iter().enumerate() {
            let got: Vec<f64> = log.iter().map(|row| row[c]).collect();
            let want: Vec<f64> = golden.iter().map(|row| row[c]).collect();
            checks.compare_values(&format!("{name} {column}"), &got, &want, tolerance);
        }
        Ok(())
    }

    /// All tensors after a phase, and what the reference measured then.
    fn compare_state(
        &mut self,
        state: &str,
        blocks: &[usize],
        clock: &Clock,
        checks: &mut Checks,
    ) -> Result<()> {
        let all = self.engine.network.tensors();
        for (ours, golden) in self.tensors(state)? {
            let got = all
                .iter()
                .find(|t| *t.name == *ours)
                .ok_or("a tensor is gone")?;
            checks.compare(
                &golden,
                &got.tensor,
                &self.file.tensor(&golden)?,
                self.trace,
            )?;
        }
        let name = |part: &str| format!("{state}/{part}");
        if self.file.has(&name("convergence")) {
            let (convergence, r1) = self.radii(clock)?;
            checks.compare_values(
                &name("convergence"),
                &[convergence],
                &self.file.values(&name("convergence"))?,
                self.trace,
            );
            checks.compare_values(
                &name("r1"),
                &[r1],
                &self.file.values(&name("r1"))?,
                Tolerance::Exact,
            );
        }
        if self.file.has(&name("displayed_lr")) {
            let rate = self.metric(self.shown(blocks), "rate_mean", clock)?;
            // A linear decay ends at nothing but rounding.
            let tolerance = Tolerance::Each {
                absolute: 1e-9,
                relative: TRACE,
            };
            let want = self.file.values(&name("displayed_lr"))?;
            checks.compare_values(&name("displayed_lr"), &[rate], &want, tolerance);
        }
        if self.file.has(&name("unsup_accuracy_train_test")) {
            let percent = self.neuron_accuracies(blocks)?;
            let want = self.file.values(&name("unsup_accuracy_train_test"))?;
            let name = name("unsup_accuracy_train_test");
            checks.compare_values(&name, &percent, &want, Tolerance::Largest(1e-6));
        }
        if self.file.has(&name("test_loss")) && blocks.last() == Some(&(self.blocks.len() - 1)) {
            self.compare_test(state, checks)?;
        }
        Ok(())
    }

    /// The reference's test loss: batch means, summed, over the number of samples.
    fn compare_test(&mut self, state: &str, checks: &mut Checks) -> Result<()> {
        let (mut loss, mut right, mut samples) = (0.0, 0.0, 0.0);
        self.engine.network.set_mode(&Mode::default());
        for (x, labels) in self.batches("test")? {
            let y = self
                .engine
                .network
                .forward_all(&mut Pass::inference(), &x)?;
            let scored = score(Loss::CrossEntropy, &y, &Answers::Classes(labels.clone()))?;
            let n = x.dim(0)? as f64;
            loss += scored.sums.to_dtype(DType::F64)?.to_vec1::<f64>()?[0] / n;
            right += count_right(&y, &labels)?
                .to_dtype(DType::F64)?
                .sum_all()?
                .to_scalar::<f64>()?;
            samples += n;
        }
        let name = |part: &str| format!("{state}/{part}");
        checks.compare_values(
            &name("test_loss"),
            &[loss / samples],
            &self.file.values(&name("test_loss"))?,
            self.loss,
        );
        let percent = [100.0 * right / samples];
        let want = self.file.values(&name("test_accuracy_percent"))?;
        checks.compare_values(
            &name("test_accuracy_percent"),
            &percent,
            &want,
            Tolerance::Largest(1e-6),
        );
        Ok(())
    }
}

fn list(value: &Value) -> Result<Vec<usize>> {
    let items = value.as_array().ok_or("no list of blocks")?;
    items
        .iter()
        .map(|v| Ok(v.as_u64().ok_or("a block that is not a number")? as usize))
        .collect()
}

fn input((x, labels): &Batch) -> StepInput {
    StepInput {
        x: x.clone(),
        answers: Answers::Classes(labels.clone()),
        dropped: false,
    }
}

/// Settings of a block as the metadata `blocks` has them.
pub(super) fn block_settings(json: &Value, conv: bool) -> Result<Settings<'_>> {
    let activation = json["activation"]["function"].as_str().map(|name| {
        let parameter = json["activation"]["param"].as_f64().unwrap_or(1.0);
        (name.to_string(), parameter)
    });
    let pool = match json["pool"]["type"].as_str() {
        Some(kind) => {
            let size = |key: &str| {
                json["pool"][key]
                    .as_u64()
                    .map(|v| v as usize)
                    .ok_or("a pool without sizes")
            };
            Some((
                pool_kind(kind)?,
                [size("kernel_size")?, size("stride")?, size("padding")?],
            ))
        }
        None => None,
    };
    Ok(Settings {
        layer: json["preset"].as_str().ok_or("a block without preset")?,
        conv,
        operation: json["operation"].as_str().unwrap_or_default(),
        activation,
        pool,
        norm_after: json["batch_norm"].as_bool().unwrap_or(false),
    })
}
