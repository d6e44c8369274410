//! Samplers on functions whose minimum is known: keyed draws, so these numbers are the same
//! everywhere.

use proptest::prelude::*;

use super::*;
use crate::plan::Direction;
use crate::sweep::domain::{Choice, Domain, Value};
use crate::sweep::plan::{At, Objective, PrunerPlan, Score};
use crate::sweep::rank::Outcome;
use crate::sweep::rank::Told;
use crate::sweep::space::{Assignment, Parameter, Space};

fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter {
        name: name.to_owned(),
        paths: vec![name.to_owned()],
        domain,
        when: Vec::new(),
    }
}

fn real(low: f64, high: f64, log: bool) -> Domain {
    Domain::Real {
        low,
        high,
        log,
        points: None,
    }
}

fn study(space: Space, sampler: SamplerPlan, seed: u64, parallel: u64) -> Study {
    Study {
        name: "s".to_owned(),
        seed,
        trials: 100,
        parallel,
        seeds: Vec::new(),
        score: Score::Mean,
        objectives: vec![Objective {
            metric: "loss".to_owned(),
            direction: Direction::Min,
            at: At::Last,
        }],
        constraints: Vec::new(),
        sampler,
        pruner: PrunerPlan::None,
        space,
    }
}

const TPE: SamplerPlan = SamplerPlan::Tpe {
    startup: 10,
    candidates: 24,
};
const CMA: SamplerPlan = SamplerPlan::Cma {
    population: 0,
    sigma: 0.2,
};

/// Runs `trials` of `f` side by side as far as the sampler lets them; the least value of all.
fn least(study: &Study, trials: u64, f: &dyn Fn(&Assignment) -> f64) -> f64 {
    let all = run(study, trials, f);
    let values = all.iter().map(|t| match &t.outcome {
        Outcome::Finished { values, .. } => values[0],
        _ => f64::INFINITY,
    });
    values.fold(f64::INFINITY, f64::min)
}

fn run(study: &Study, trials: u64, f: &dyn Fn(&Assignment) -> f64) -> Vec<Told> {
    let mut sampler = own(study).unwrap();
    let mut all: Vec<Told> = Vec::new();
    for number in 0..trials {
        let needs = sampler.needs(number) as usize;
        assert!(needs <= all.len());
        let pending: Vec<Assignment> = all[needs..].iter().map(|t| t.values.clone()).collect();
        let past = Past {
            told: &all[..needs],
            pending: &pending,
        };
        let values = sampler.ask(number, &past).unwrap().unwrap();
        let value = f(&values);
        all.push(Told {
            outcome: Outcome::Finished {
                values: vec![value],
                missed: 0.0,
            },
            values,
            curve: Vec::new(),
        });
    }
    all
}

fn number(values: &Assignment, name: &str) -> f64 {
    match values.get(name) {
        Some(Value::Number(x)) => *x,
        Some(Value::Whole(n)) => *n as f64,
        _ => f64::NAN,
    }
}

/// A log float, an integer, a float and a choice: the kind of function that hyperparameters make.
fn mixed() -> (Space, fn(&Assignment) -> f64) {
    let word = |w: &str| Choice::plain(toml::Value::String(w.to_owned()));
    let space = Space::new(vec![
        parameter("lr", real(1e-5, 1.0, true)),
        parameter(
            "n",
            Domain::Whole {
                low: 1,
                high: 64,
                step: 1,
                log: false,
            },
        ),
        parameter("drop", real(0.0, 0.5, false)),
        parameter(
            "rule",
            Domain::Choices(vec![word("a"), word("b"), word("c")]),
        ),
    ]);
    let f = |v: &Assignment| {
        let rule = match v["rule"] {
            Value::Choice(i) => [0.3, 0.0, 0.5][i],
            _ => 9.0,
        };
        (number(v, "lr").log10() + 2.5).powi(2)
            + ((number(v, "n") - 40.0) / 20.0).powi(2)
            + (4.0 * (number(v, "drop") - 0.1)).powi(2)
            + rule
    };
    (space.unwrap(), f)
}

/// The mean over ten seeds of the least value in `trials`.
fn mean(
    space: &Space,
    plan: &SamplerPlan,
    parallel: u64,
    trials: u64,
    f: &dyn Fn(&Assignment) -> f64,
) -> f64 {
    let all = (0..10).map(|seed| {
        least(
            &study(space.clone(), plan.clone(), seed, parallel),
            trials,
            f,
        )
    });
    all.sum::<f64>() / 10.0
}

#[test]
fn tpe_beats_random_also_side_by_side() {
    let (space, f) = mixed();
    let random = mean(&space, &SamplerPlan::Random, 1, 60, &f);
    for parallel in [1, 4] {
        let tpe = mean(&space, &TPE, parallel, 60, &f);
        println!("random {random}, tpe with {parallel} side by side {tpe}");
        assert!(tpe < 0.6 * random, "{tpe} {random}");
    }
}

type Function = fn(&[f64]) -> f64;

/// Sphere, ellipsoid and Rosenbrock in five dimensions on [-5, 5].
fn functions() -> [(&'static str, Function); 3] {
    [
        ("sphere", |x| x.iter().map(|x| (x - 1.0).powi(2)).sum()),
        ("ellipsoid", |x| {
            let terms = x.iter().enumerate();
            terms
                .map(|(i, x)| 10f64.powi(i as i32) * (x - 1.0).powi(2))
                .sum()
        }),
        ("rosenbrock", |x| {
            let pairs = x.windows(2);
            pairs
                .map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2))
                .sum()
        }),
    ]
}

#[test]
fn cma_beats_random_by_far_and_tpe_beats_it_too() {
    let names = ["a", "b", "c", "d", "e"];
    let space = Space::new(names.map(|n| parameter(n, real(-5.0, 5.0, false))).into()).unwrap();
    for (name, function) in functions() {
        let f = move |v: &Assignment| function(&names.map(|n| number(v, n)));
        let random = mean(&space, &SamplerPlan::Random, 1, 200, &f);
        let tpe = mean(&space, &TPE, 1, 200, &f);
        let cma = mean(&space, &CMA, 1, 200, &f);
        println!("{name}: random {random}, tpe {tpe}, cma {cma}");
        assert!(tpe < 0.7 * random, "{name}: {tpe} {random}");
        assert!(cma < 0.2 * random, "{name}: {cma} {random}");
    }
}

/// With conditions: one branch is better, and its own parameter counts there alone.
#[test]
fn tpe_finds_the_branch_and_its_parameter() {
    let word = |w: &str| Choice::plain(toml::Value::String(w.to_owned()));
    let of = |name: &str, choice| Parameter {
        when: vec![("rule".to_owned(), vec![choice])],
        ..parameter(name, real(0.0, 1.0, false))
    };
    let space = Space::new(vec![
        parameter("rule", Domain::Choices(vec![word("a"), word("b")])),
        of("x", 0),
        of("y", 1),
    ])
    .unwrap();
    let f = |v: &Assignment| match v["rule"] {
        Value::Choice(0) => 0.5 + (number(v, "x") - 0.5).powi(2),
        _ => 10.0 * (number(v, "y") - 0.73).powi(2),
    };
    let all = run(&study(space.clone(), TPE, 3, 1), 60, &f);
    let late = all[30..]
        .iter()
        .filter(|t| t.values["rule"] == Value::Choice(1))
        .count();
    assert!(late >= 22, "{late} of 30 in the better branch");
    let tpe = mean(&space, &TPE, 1, 40, &f);
    let random = mean(&space, &SamplerPlan::Random, 1, 40, &f);
    assert!(tpe < random, "{tpe} {random}");
}

/// The least value of `x + y` that keeps the bound, of 40 trials: the best is 0.6.
fn least_kept(sampler: SamplerPlan, seed: u64) -> f64 {
    let both = ["x", "y"].map(|n| parameter(n, real(0.0, 1.0, false)));
    let study = study(Space::new(both.into()).unwrap(), sampler, seed, 1);
    let mut sampler = own(&study).unwrap();
    let mut all: Vec<Told> = Vec::new();
    let mut least = f64::INFINITY;
    for n in 0..40u64 {
        let needs = sampler.needs(n) as usize;
        let past = Past {
            told: &all[..needs],
            pending: &[],
        };
        let values = sampler.ask(n, &past).unwrap().unwrap();
        let sum = number(&values, "x") + number(&values, "y");
        let missed = (0.6 - sum).max(0.0);
        if missed == 0.0 {
            least = least.min(sum);
        }
        all.push(Told {
            values,
            outcome: Outcome::Finished {
                values: vec![sum],
                missed,
            },
            curve: Vec::new(),
        });
    }
    least
}

/// Smaller sums are better and miss the bound.
#[test]
fn tpe_goes_to_the_edge_of_a_bound() {
    let mean = |plan: &SamplerPlan| {
        let all = (0..10).map(|seed| least_kept(plan.clone(), seed) - 0.6);
        all.sum::<f64>() / 10.0
    };
    let (random, tpe) = (mean(&SamplerPlan::Random), mean(&TPE));
    println!("random {random}, tpe {tpe}");
    assert!(tpe < 0.5 * random, "{tpe} {random}");
}

#[test]
fn a_space_without_numbers_is_none_of_cma() {
    let word = |w: &str| Choice::plain(toml::Value::String(w.to_owned()));
    let space = Space::new(vec![parameter("r", Domain::Choices(vec![word("a")]))]).unwrap();
    assert!(own(&study(space, CMA, 0, 1)).is_err());
}

proptest! {
    /// Whatever is told, a proposal is a function of it: a fresh sampler says the same, and every value
    /// lies in its domain.
    #[test]
    fn proposals_are_functions_of_the_past(
        seed in 0u64..50, parallel in 1u64..6, which in 0usize..5, bad in 0usize..3,
    ) {
        let (space, f) = mixed();
        let plan = [SamplerPlan::Random, SamplerPlan::Sobol, TPE, CMA,
            SamplerPlan::Tpe { startup: 1, candidates: 3 }][which].clone();
        let study = study(space, plan, seed, parallel);
        let mut all = run(&study, 14, &f);
        for told in all.iter_mut().skip(2).step_by(4) {
            told.outcome = [
                Outcome::Failed,
                Outcome::Pruned { epoch: 3, value: f64::NAN },
                Outcome::Finished { values: vec![1.0], missed: 2.0 },
            ][bad].clone();
        }
        let number = 14;
        let ask = |sampler: &mut dyn Sampler| {
            let needs = sampler.needs(number) as usize;
            let pending: Vec<Assignment> = all[needs..].iter().map(|t| t.values.clone()).collect();
            sampler.ask(number, &Past { told: &all[..needs], pending: &pending }).unwrap().unwrap()
        };
        let mut one = own(&study).unwrap();
        let first = ask(&mut *one);
        prop_assert_eq!(&first, &ask(&mut *one));
        prop_assert_eq!(&first, &ask(&mut *own(&study).unwrap()));
        let json = study.space.to_json(&first);
        prop_assert_eq!(study.space.read(&json).unwrap(), first);
    }
}
