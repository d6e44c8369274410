//! The checks, one function each; those of layers and state are in `kinds`, those of strange
//! inputs in `robust`. All comparisons are of bits, but for that of a
//! gradient with differences.

use std::marker::PhantomData;

use super::Array;
use super::bound::{Changed, Subject};
use super::chain::{Chain, product, sample};
use super::compare::Outcome::{self, Failed, Passed, Skipped};
use super::compare::{bits, both, compare, train, trained};
use super::trial::WithDefaults;
use super::{kinds, robust};
use crate::sdk::{Claims, Credit, LearningRule, Result, Role};

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What the rule says of itself.
    Manifest,
    /// What it does on every layer that it serves.
    Contract,
    /// The tensors that the host holds for it.
    State,
    /// Its numbers.
    Numbers,
    /// What it claims.
    Claims,
    /// Strange inputs and hyperparameters, many steps.
    Robustness,
}

impl Group {
    /// All of them, in the order they run.
    pub const ALL: [Self; 6] = [
        Self::Manifest,
        Self::State,
        Self::Contract,
        Self::Numbers,
        Self::Claims,
        Self::Robustness,
    ];

    /// Name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Contract => "contract",
            Self::State => "state",
            Self::Numbers => "numbers",
            Self::Claims => "claims",
            Self::Robustness => "robustness",
        }
    }
}

macro_rules! checks {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal in $group:ident by $run:path; )*) => {
        /// What is checked of a rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Check { $( $(#[$doc])* $variant, )* }

        impl Check {
            /// All of them, in the order they run.
            pub const ALL: &'static [Self] = &[ $( Self::$variant ),* ];

            /// Name on the command line and in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// What it is about.
            #[must_use]
            pub fn group(self) -> Group {
                match self { $( Self::$variant => Group::$group, )* }
            }

            fn body(self) -> fn(&dyn Subject, u64) -> Result<Outcome> {
                match self { $( Self::$variant => $run, )* }
            }
        }
    };
}

checks! {
    /// Name, summary and hyperparameters can be told; defaults are allowed ones.
    Schema = "schema" in Manifest by kinds::schema;
    /// The declared tensors can be made, and are the same from the same seed.
    Tensors = "tensors" in State by kinds::state;
    /// It makes finite steps in a small network, and something moves.
    Steps = "steps" in Contract by steps;
    /// Each kind of layer is refused when it is bound, or served.
    Layers = "layers" in Contract by kinds::layers;
    /// A batch of one sample, unless it says that it needs more.
    BatchOne = "batch-one" in Contract by kinds::batch_one;
    /// `learn` changes what belongs to the rule, and nothing that the optimiser owns.
    Roles = "roles" in Contract by kinds::roles;
    /// Its metrics are finite numbers with names.
    Metrics = "metrics" in Contract by kinds::metrics;
    /// It gives every tensor back.
    Leaks = "leaks" in Contract by kinds::leaks;
    /// Saved and reloaded state goes on as if nothing had happened.
    StateRoundTrip = "state-round-trip" in State by state_round_trip;
    /// Two layers with the same rule do not influence each other.
    Instances = "instances" in State by kinds::instances;
    /// Rate 0 changes no weight.
    ZeroRate = "zero-rate" in Numbers by zero_rate;
    /// The exact gradient is the derivative of what `forward` computes.
    InputGradient = "input-gradient" in Numbers by input_gradient;
    /// A step in f64 is that in f32, but for rounding.
    Types = "types" in Numbers by kinds::types;
    /// Shuffled labels give the same weights.
    Unsupervised = "unsupervised" in Claims by unsupervised;
    /// A change of a later layer changes nothing here.
    Local = "local" in Claims by local;
    /// What goes below does not depend on the forward weight.
    NoWeightTransport = "no-weight-transport" in Claims by no_weight_transport;
    /// The same inputs and seed give the same bits.
    Deterministic = "deterministic" in Claims by deterministic;
    /// Local changes are the same without an output.
    FromInput = "from-input" in Claims by from_input;
    /// Zero, constant, tiny, huge and NaN inputs end in numbers or an error.
    Inputs = "inputs" in Robustness by robust::inputs;
    /// 200 configurations drawn from the schema end in numbers or an error.
    Configs = "configs" in Robustness by robust::configs;
    /// A thousand steps take no more memory than two hundred.
    Memory = "memory" in Robustness by robust::memory;
}

impl Check {
    /// The claim it belongs to; the others hold for every rule.
    fn claim(self) -> Option<Claims> {
        let mut named = Claims::NAMED.iter();
        let found = named.find(|(_, name)| *name == self.name());
        found.map(|(claim, _)| *claim)
    }

    /// Runs it with the usual seed, 0.
    ///
    /// # Errors
    /// The rule fails in a call.
    pub fn run(self, subject: &dyn Subject) -> Result<Outcome> {
        self.run_seeded(subject, 0)
    }

    /// Runs it; what it draws at random follows from `seed`.
    ///
    /// # Errors
    /// The rule fails in a call.
    pub fn run_seeded(self, subject: &dyn Subject, seed: u64) -> Result<Outcome> {
        let claims = subject.facts().claims;
        if self.claim().is_some_and(|claim| !claims.contains(claim)) {
            return Ok(Skipped("not claimed".into()));
        }
        self.body()(subject, seed)
    }
}

/// Runs every check on the rule `R` with its default hyperparameters, as
/// `biorule rules check` does on its library. For a test of the rule's own crate.
///
/// # Panics
/// A check does not pass; the message says which, and what was seen.
pub fn keeps_its_contract<R: LearningRule>() {
    for &check in Check::ALL {
        let subject = WithDefaults::<R>(PhantomData);
        match check.run(&subject) {
            Ok(Passed(seen)) => println!("{}: {seen}", check.name()),
            Ok(Skipped(why)) => println!("{}: skipped, {why}", check.name()),
            Ok(Failed(seen)) => panic!("{}: {seen}", check.name()),
            Err(error) => panic!("{}: {error}", check.name()),
        }
    }
}

fn steps(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (before, after) = (Chain::new(subject, None)?, trained(subject, 0..4, 0)?);
    let mut moved = 0;
    for (index, a, b) in both(&before, &after) {
        if let Some(bad) = b.value.values().iter().find(|v| !v.is_finite()) {
            return Ok(Failed(format!("`{}` of layer {index} holds {bad}", a.name)));
        }
        moved += usize::from(bits(&a.value) != bits(&b.value));
    }
    Ok(match moved {
        0 => Failed("four steps changed nothing".into()),
        n => Passed(format!("four steps, all values finite, {n} tensors moved")),
    })
}

fn unsupervised(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (a, b) = (trained(subject, 0..4, 0)?, trained(subject, 0..4, 1)?);
    Ok(compare(&a, &b, "after training on other labels"))
}

fn local(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let mut chain = Chain::new(subject, None)?;
    let (x, target) = sample(0, 0);
    let first = |chain: &Chain| -> Result<Vec<Vec<u64>>> {
        let changes = chain.learn(0, &chain.forward(&x)?, &target)?;
        Ok(changes.iter().map(|c| bits(&c.value)).collect())
    };
    let before = first(&chain)?;
    for link in &mut chain.links[1..] {
        for held in &mut link.state {
            held.value = held.value.map(|v| 1.5 * v);
        }
    }
    Ok(match first(&chain)? == before {
        true => Passed("changes of the first layer do not depend on later ones".into()),
        false => Failed("changes of the first layer moved when later layers did".into()),
    })
}

fn no_weight_transport(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    if subject.facts().credit == Credit::Local {
        return Ok(Skipped("the rule sends no error below".into()));
    }
    let mut chain = Chain::new(subject, None)?;
    if chain.links.len() < 2 {
        return Ok(Skipped("the rule serves no dense layer".into()));
    }
    let (x, target) = sample(0, 0);
    let trace = chain.forward(&x)?;
    let grad_y = trace.y[1].map(|v| 0.3 * v);
    let below = |chain: &Chain| -> Result<Option<Vec<u64>>> {
        let grads = chain.backward(1, &trace, &grad_y, &target, &target)?;
        Ok(grads.below.as_ref().map(bits))
    };
    let before = below(&chain)?;
    let state = chain.links[1].state.iter_mut();
    for held in state.filter(|s| s.role == Role::Weight || s.name == "weight") {
        // Another sign and size for every second entry.
        let mut i = 0;
        held.value = held.value.map(|v| {
            i += 1;
            if i % 2 == 1 { -1.7 * v } else { 0.6 * v }
        });
    }
    Ok(match below(&chain)? == before {
        true => Passed("the error sent below does not depend on the forward weight".into()),
        false => Failed("the error sent below changed with the forward weight".into()),
    })
}

fn deterministic(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (a, b) = (trained(subject, 0..4, 0)?, trained(subject, 0..4, 0)?);
    Ok(compare(&a, &b, "in a second run from the same seed"))
}

fn from_input(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    if !subject.facts().learns_locally() {
        return Ok(Skipped("the rule learns from an error alone".into()));
    }
    let chain = trained(subject, 0..2, 0)?;
    let (x, target) = sample(2, 0);
    let with = chain.forward(&x)?;
    let without = with.without_outputs();
    for index in 0..chain.links.len() {
        let [a, b] = [&with, &without].map(|trace| chain.learn(index, trace, &target));
        let (a, b) = (a?, b?);
        let same = |a: &Changed, b: &Changed| a.name == b.name && bits(&a.value) == bits(&b.value);
        if a.len() != b.len() || !a.iter().zip(&b).all(|(a, b)| same(a, b)) {
            return Ok(Failed(format!(
                "the changes of layer {index} are others without its output"
            )));
        }
    }
    Ok(Passed("the same changes without an output".into()))
}

fn state_round_trip(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let through = trained(subject, 0..4, 0)?;
    let mut halves = trained(subject, 0..2, 0)?;
    for link in &mut halves.links {
        link.state = subject.reload(std::mem::take(&mut link.state))?;
    }
    train(&mut halves, 2..4, 0)?;
    let what = "after saving and reloading in the middle";
    Ok(compare(&through, &halves, what))
}

fn zero_rate(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    if !subject.facts().learns_locally() {
        return Ok(Skipped("the optimiser has the rate".into()));
    }
    let chain = Chain::new(subject, Some(0.0))?;
    let (x, target) = sample(0, 0);
    let trace = chain.forward(&x)?;
    for (index, link) in chain.links.iter().enumerate() {
        for change in chain.learn(index, &trace, &target)? {
            let mut held = link.state.iter().filter(|s| s.name == change.name);
            let Some(held) = held.find(|s| s.role != Role::Statistic) else {
                continue;
            };
            let start = held.value.map(|v| if change.replaces { *v } else { 0.0 });
            let largest = change.value.distance(&start);
            if largest != 0.0 {
                return Ok(Failed(format!(
                    "`{}` of layer {index} moved by {largest:e} at rate 0",
                    change.name
                )));
            }
        }
    }
    Ok(Passed("rate 0 leaves every weight as it was".into()))
}

/// Step of the differences: outputs are of order 1 and in `f32`.
const DIFFERENCE: f64 = 0.02;

fn input_gradient(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let chain = trained(subject, 0..2, 0)?;
    let trace = chain.forward(&sample(7, 0).0)?;
    for (index, (x, y)) in trace.x.iter().zip(&trace.y).enumerate() {
        let (c, along) = (scattered(y, 1), scattered(x, 2));
        let Some(grad) = chain.input_gradient(index, x, &c)? else {
            return Ok(Skipped("the plugin is older than this question".into()));
        };
        let at =
            |h: f64| chain.weighted(index, &x.zip(&along, |x, a| x + h * a)?.to(x.dtype()), &c);
        let slope = (at(DIFFERENCE)? - at(-DIFFERENCE)?) / (2.0 * DIFFERENCE);
        let (dot, size) = (product(&grad, &along), product(&grad, &grad).sqrt());
        // `along` has entries of size 1, so the product is of this size.
        if (slope - dot).abs() > 0.05 * size.max(slope.abs()) {
            return Ok(Failed(format!(
                "layer {index}: `input_gradient` gives a slope of {dot:.4}, `forward` has {slope:.4}"
            )));
        }
    }
    Ok(Passed(
        "`input_gradient` is the derivative of `forward`".into(),
    ))
}

/// Entries of 1 and −1, as scattered as `seed` says, shaped and typed as `like`.
fn scattered(like: &Array, seed: u64) -> Array {
    let noise = Array::noise(300 + seed, like.shape()).to(like.dtype());
    noise.map(|v| if *v < 0.0 { -1.0 } else { 1.0 })
}
