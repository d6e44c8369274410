//! The checks, one function each. All comparisons are of bits, but for that of a
//! gradient with differences.

use std::marker::PhantomData;

use super::Array;
use super::bound::{Changed, Held, Subject};
use super::chain::{Chain, product, sample};
use super::trial::WithDefaults;
use crate::sdk::{Claims, Credit, LearningRule, Result, Role};

/// How a check ended, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule does what it should.
    Passed(String),
    /// It does not.
    Failed(String),
    /// It does not claim this, or the check does not apply.
    Skipped(String),
}

use Outcome::{Failed, Passed, Skipped};

/// What is checked of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It binds to its layer kinds and makes finite steps.
    Steps,
    /// Shuffled labels give the same weights.
    Unsupervised,
    /// A change of a later layer changes nothing here.
    Local,
    /// What goes below does not depend on the forward weight.
    NoWeightTransport,
    /// The same inputs and seed give the same bits.
    Deterministic,
    /// Local changes are the same without an output.
    FromInput,
    /// Saved and reloaded state goes on as if nothing had happened.
    StateRoundTrip,
    /// Rate 0 changes no weight.
    ZeroRate,
    /// The exact gradient is the derivative of what `forward` computes.
    InputGradient,
}

impl Check {
    /// All of them, in the order they run.
    pub const ALL: [Self; 9] = [
        Self::Steps,
        Self::Unsupervised,
        Self::Local,
        Self::NoWeightTransport,
        Self::Deterministic,
        Self::FromInput,
        Self::StateRoundTrip,
        Self::ZeroRate,
        Self::InputGradient,
    ];

    /// Name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Unsupervised => "unsupervised",
            Self::Local => "local",
            Self::NoWeightTransport => "no-weight-transport",
            Self::Deterministic => "deterministic",
            Self::FromInput => "from-input",
            Self::StateRoundTrip => "state-round-trip",
            Self::ZeroRate => "zero-rate",
            Self::InputGradient => "input-gradient",
        }
    }

    /// The claim it belongs to; the others hold for every rule.
    fn claim(self) -> Option<Claims> {
        let mut named = Claims::NAMED.iter();
        let found = named.find(|(_, name)| *name == self.name());
        found.map(|(claim, _)| *claim)
    }

    /// Runs it.
    ///
    /// # Errors
    /// The rule fails in a call.
    pub fn run(self, subject: &dyn Subject) -> Result<Outcome> {
        let claims = subject.facts().claims;
        if self.claim().is_some_and(|claim| !claims.contains(claim)) {
            return Ok(Skipped("not claimed".into()));
        }
        match self {
            Self::Steps => steps(subject),
            Self::Unsupervised => unsupervised(subject),
            Self::Local => local(subject),
            Self::NoWeightTransport => no_weight_transport(subject),
            Self::Deterministic => deterministic(subject),
            Self::FromInput => from_input(subject),
            Self::StateRoundTrip => state_round_trip(subject),
            Self::ZeroRate => zero_rate(subject),
            Self::InputGradient => input_gradient(subject),
        }
    }
}

/// Runs every check on the rule `R` with its default hyperparameters, as
/// `biorule rules check` does on its library. For a test of the rule's own crate.
///
/// # Panics
/// A check does not pass; the message says which, and what was seen.
pub fn keeps_its_contract<R: LearningRule>() {
    for check in Check::ALL {
        let subject = WithDefaults::<R>(PhantomData);
        match check.run(&subject) {
            Ok(Passed(seen)) => println!("{}: {seen}", check.name()),
            Ok(Skipped(why)) => println!("{}: skipped, {why}", check.name()),
            Ok(Failed(seen)) => panic!("{}: {seen}", check.name()),
            Err(error) => panic!("{}: {error}", check.name()),
        }
    }
}

fn trained(subject: &dyn Subject, steps: std::ops::Range<u64>, shift: usize) -> Result<Chain> {
    let mut chain = Chain::new(subject, None)?;
    train(&mut chain, steps, shift)?;
    Ok(chain)
}

fn train(chain: &mut Chain, steps: std::ops::Range<u64>, shift: usize) -> Result<()> {
    for step in steps {
        let (x, target) = sample(step, shift);
        chain.train(&x, &target)?;
    }
    Ok(())
}

fn bits(value: &Array) -> Vec<u64> {
    value.values().iter().map(|v| v.to_bits()).collect()
}

/// All state tensors of two chains, side by side, with their layer.
fn both<'a>(a: &'a Chain, b: &'a Chain) -> impl Iterator<Item = (usize, &'a Held, &'a Held)> {
    let links = a.links.iter().zip(&b.links).enumerate();
    links.flat_map(|(index, (a, b))| {
        a.state
            .iter()
            .zip(&b.state)
            .map(move |(a, b)| (index, a, b))
    })
}

fn compare(a: &Chain, b: &Chain, what: &str) -> Outcome {
    for (index, a, b) in both(a, b) {
        let (name, a, b) = (&a.name, bits(&a.value), bits(&b.value));
        let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        if differing > 0 {
            return Failed(format!(
                "{differing} of {} values of `{name}` in layer {index} differ {what}",
                a.len()
            ));
        }
    }
    Passed(format!("all state is bit-identical {what}"))
}

fn steps(subject: &dyn Subject) -> Result<Outcome> {
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

fn unsupervised(subject: &dyn Subject) -> Result<Outcome> {
    let (a, b) = (trained(subject, 0..4, 0)?, trained(subject, 0..4, 1)?);
    Ok(compare(&a, &b, "after training on other labels"))
}

fn local(subject: &dyn Subject) -> Result<Outcome> {
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

fn no_weight_transport(subject: &dyn Subject) -> Result<Outcome> {
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
        let grads = chain.backward(1, &trace, &grad_y, &target)?;
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

fn deterministic(subject: &dyn Subject) -> Result<Outcome> {
    let (a, b) = (trained(subject, 0..4, 0)?, trained(subject, 0..4, 0)?);
    Ok(compare(&a, &b, "in a second run from the same seed"))
}

fn from_input(subject: &dyn Subject) -> Result<Outcome> {
    let facts = subject.facts();
    if facts.credit != Credit::Local && !facts.also_local {
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

fn state_round_trip(subject: &dyn Subject) -> Result<Outcome> {
    let through = trained(subject, 0..4, 0)?;
    let mut halves = trained(subject, 0..2, 0)?;
    for link in &mut halves.links {
        link.state = subject.reload(std::mem::take(&mut link.state))?;
    }
    train(&mut halves, 2..4, 0)?;
    let what = "after saving and reloading in the middle";
    Ok(compare(&through, &halves, what))
}

fn zero_rate(subject: &dyn Subject) -> Result<Outcome> {
    let facts = subject.facts();
    if facts.credit != Credit::Local && !facts.also_local {
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

fn input_gradient(subject: &dyn Subject) -> Result<Outcome> {
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
