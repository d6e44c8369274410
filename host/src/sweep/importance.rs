//! How much of what a study found each parameter explains: functional analysis of variance over a
//! random forest (Hutter, Hoos and Leyton-Brown 2014). A forest is fitted to values and results; of each
//! of its trees the variance over the whole space is known exactly, and so is the variance of its mean over all
//! parameters but one. Their quotient is that parameter's share; what is missing to 1 is due to
//! interactions.

use super::domain::{Domain, Value};
use super::space::{Assignment, Parameter};
use crate::search::draw::{Draw, Purpose};

/// Trees of a forest.
const TREES: u64 = 64;
/// Shuffled studies that a share is held against.
const SHUFFLES: u64 = 10;
/// Depth of a tree at most.
const DEPTH: usize = 24;
/// Choices of a parameter at most; more are taken as one number.
const CHOICES: usize = 63;

/// Where a leaf lies along one axis.
#[derive(Clone, Copy, Debug)]
enum Side {
    /// Between two points of the unit interval.
    Between(f64, f64),
    /// At these choices (bits) of so many.
    Among(u64, u32),
}

impl Side {
    /// Its share of the axis.
    fn share(self) -> f64 {
        match self {
            Self::Between(a, b) => b - a,
            Self::Among(bits, of) => f64::from(bits.count_ones()) / f64::from(of.max(1)),
        }
    }

    fn holds(self, x: f64) -> bool {
        match self {
            Self::Between(a, b) => x >= a && (x < b || b >= 1.0),
            Self::Among(bits, _) => (bits >> (x as u64)) & 1 == 1,
        }
    }
}

/// A leaf: its box and the mean of the trials in it.
struct Leaf {
    sides: Vec<Side>,
    value: f64,
}

/// Where `value` of a parameter lies on its axis; a parameter that is not active in the middle.
fn place(domain: &Domain, value: Option<&Value>) -> f64 {
    match (domain, value) {
        (Domain::Choices(_), Some(Value::Choice(i))) => *i as f64,
        (Domain::Choices(_), _) => 0.0,
        (_, value) => {
            let share = value.and_then(|v| domain.share(*v));
            share.map_or(0.5, |u| u.clamp(0.0, 1.0))
        }
    }
}

fn axis(domain: &Domain) -> Side {
    match domain {
        Domain::Choices(all) => {
            let n = all.len().min(CHOICES) as u32;
            Side::Among((1u64 << n) - 1, n)
        }
        _ => Side::Between(0.0, 1.0),
    }
}

/// The share of the variance of `results` that each of `parameters` explains alone, 0 to 1, in their
/// order; `None` where there are too few trials, or all results are the same. `seed` decides the forest.
#[must_use]
pub fn importance(
    parameters: &[Parameter],
    trials: &[(&Assignment, f64)],
    seed: u64,
) -> Option<Vec<f64>> {
    forest(parameters, trials, seed, TREES)
}

/// The largest shares that the same values explain of shuffled results, of `SHUFFLES`: what a parameter
/// has by chance.
#[must_use]
pub fn by_chance(parameters: &[Parameter], trials: &[(&Assignment, f64)], seed: u64) -> Vec<f64> {
    let mut most = vec![0.0f64; parameters.len()];
    for shuffle in 0..SHUFFLES {
        let order = Draw::new(Purpose::Forest, seed, u64::MAX, shuffle);
        let order = { order }.choose(trials.len(), trials.len());
        let rows: Vec<(&Assignment, f64)> = trials
            .iter()
            .zip(order)
            .map(|((values, _), i)| (*values, trials[i].1))
            .collect();
        if let Some(shares) = forest(parameters, &rows, seed, TREES / 4) {
            most.iter_mut().zip(shares).for_each(|(m, s)| *m = m.max(s));
        }
    }
    most
}

fn forest(
    parameters: &[Parameter],
    trials: &[(&Assignment, f64)],
    seed: u64,
    trees: u64,
) -> Option<Vec<f64>> {
    let known: Vec<&(&Assignment, f64)> = trials.iter().filter(|(_, y)| y.is_finite()).collect();
    if known.len() < 4 || parameters.is_empty() {
        return None;
    }
    let row = |values: &Assignment| -> Vec<f64> {
        let places = parameters
            .iter()
            .map(|p| place(&p.domain, values.get(&p.name)));
        places.collect()
    };
    let x: Vec<Vec<f64>> = known.iter().map(|(values, _)| row(values)).collect();
    let y: Vec<f64> = known.iter().map(|(_, y)| *y).collect();
    let axes: Vec<Side> = parameters.iter().map(|p| axis(&p.domain)).collect();
    let mut shares = vec![0.0; parameters.len()];
    let mut counted = 0.0;
    for tree in 0..trees {
        let mut draw = Draw::new(Purpose::Forest, seed, tree, 0);
        let chosen: Vec<usize> = (0..y.len()).map(|_| draw.below(y.len())).collect();
        let mut leaves = Vec::new();
        grow(&x, &y, chosen, axes.clone(), DEPTH, &mut draw, &mut leaves);
        let volume = |leaf: &Leaf| leaf.sides.iter().map(|s| s.share()).product::<f64>();
        let mean: f64 = leaves.iter().map(|l| volume(l) * l.value).sum();
        let variance: f64 = leaves
            .iter()
            .map(|l| volume(l) * (l.value - mean).powi(2))
            .sum();
        if variance <= 1e-18 {
            continue;
        }
        counted += 1.0;
        for (i, share) in shares.iter_mut().enumerate() {
            *share += alone(&leaves, i, mean) / variance;
        }
    }
    (counted > 0.0).then(|| shares.iter().map(|s| s / counted).collect())
}

/// The variance of the mean of a tree over all axes but `i`.
fn alone(leaves: &[Leaf], i: usize, mean: f64) -> f64 {
    // What a leaf adds to that mean wherever it lies on the axis.
    let others = |leaf: &Leaf| {
        let sides = leaf.sides.iter().enumerate().filter(|(j, _)| *j != i);
        sides.map(|(_, s)| s.share()).product::<f64>() * leaf.value
    };
    if let Some(Side::Among(_, of)) = leaves.first().map(|l| l.sides[i]) {
        let at = |choice: u32| {
            let inside = leaves
                .iter()
                .filter(|l| l.sides[i].holds(f64::from(choice)));
            inside.map(others).sum::<f64>()
        };
        let squares = (0..of).map(|choice| (at(choice) - mean).powi(2));
        return squares.sum::<f64>() / f64::from(of.max(1));
    }
    // Pieces of the axis in which that mean is the same.
    let between = |leaf: &Leaf| match leaf.sides[i] {
        Side::Between(a, b) => (a, b),
        Side::Among(..) => (0.0, 1.0),
    };
    let mut ends: Vec<f64> = leaves
        .iter()
        .map(between)
        .flat_map(|(a, b)| [a, b])
        .collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let mut steps = vec![0.0; ends.len()];
    for leaf in leaves {
        let (a, b) = between(leaf);
        let value = others(leaf);
        steps[ends.partition_point(|e| *e < a)] += value;
        steps[ends.partition_point(|e| *e < b)] -= value;
    }
    let (mut value, mut sum) = (0.0, 0.0);
    for (piece, step) in ends.windows(2).zip(&steps) {
        value += step;
        sum += (piece[1] - piece[0]) * (value - mean).powi(2);
    }
    sum
}

/// Divides the trials `rows` further, or makes them a leaf.
fn grow(
    x: &[Vec<f64>],
    y: &[f64],
    rows: Vec<usize>,
    sides: Vec<Side>,
    depth: usize,
    draw: &mut Draw,
    leaves: &mut Vec<Leaf>,
) {
    let mean = |rows: &[usize]| rows.iter().map(|r| y[*r]).sum::<f64>() / rows.len() as f64;
    let best = match depth > 0 && rows.len() >= 2 {
        true => split(x, y, &rows, &sides, draw),
        false => None,
    };
    let Some((i, left, right)) = best else {
        leaves.push(Leaf {
            value: mean(&rows),
            sides,
        });
        return;
    };
    let (a, b): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(|r| left.holds(x[*r][i]));
    for (side, part) in [(left, a), (right, b)] {
        let mut inner = sides.clone();
        inner[i] = side;
        grow(x, y, part, inner, depth - 1, draw, leaves);
    }
}

/// The best split of `rows` along half of the axes, drawn: which axis, and both sides.
fn split(
    x: &[Vec<f64>],
    y: &[f64],
    rows: &[usize],
    sides: &[Side],
    draw: &mut Draw,
) -> Option<(usize, Side, Side)> {
    let mut best: Option<(f64, usize, Side, Side)> = None;
    let tried = draw.choose(sides.len(), sides.len().div_ceil(2).max(1));
    // Where none of these divides anything, the others may.
    let all = tried
        .iter()
        .copied()
        .chain((0..sides.len()).filter(|i| !tried.contains(i)));
    for (n, i) in all.enumerate() {
        if n >= tried.len() && best.is_some() {
            break;
        }
        // Places along the axis; choices in the order of their means (Fisher 1958).
        let mut order: Vec<(f64, f64, f64)> =
            rows.iter().map(|r| (x[*r][i], x[*r][i], y[*r])).collect();
        if let Side::Among(..) = sides[i] {
            for one in &mut order {
                let same: Vec<f64> = rows
                    .iter()
                    .filter(|r| x[**r][i] == one.1)
                    .map(|r| y[*r])
                    .collect();
                one.0 = same.iter().sum::<f64>() / same.len() as f64;
            }
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let total: f64 = order.iter().map(|o| o.2).sum();
        let (mut sum, count) = (0.0, order.len() as f64);
        for k in 0..order.len() - 1 {
            sum += order[k].2;
            if order[k].1 == order[k + 1].1 {
                continue;
            }
            let n = (k + 1) as f64;
            // What the squares lose by two means in place of one.
            let gain = sum * sum / n + (total - sum).powi(2) / (count - n) - total * total / count;
            if gain > 1e-15 && best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                let (left, right) = match sides[i] {
                    Side::Between(a, b) => {
                        let at = f64::midpoint(order[k].1, order[k + 1].1);
                        (Side::Between(a, at), Side::Between(at, b))
                    }
                    Side::Among(bits, of) => {
                        let low = order[..=k].iter().fold(0u64, |m, o| m | (1 << o.1 as u64));
                        // Choices that no trial of these has go to the right.
                        (Side::Among(low, of), Side::Among(bits & !low, of))
                    }
                };
                best = Some((gain, i, left, right));
            }
        }
    }
    best.map(|(_, i, left, right)| (i, left, right))
}

#[cfg(test)]
mod tests {
    use super::super::domain::Choice;
    use super::*;

    fn parameters() -> Vec<Parameter> {
        let real = Domain::Real {
            low: 0.0,
            high: 1.0,
            log: false,
            points: None,
        };
        let word = |w: &str| Choice::plain(toml::Value::String(w.to_owned()));
        let choices = Domain::Choices(vec![word("a"), word("b"), word("c")]);
        [("x", real.clone()), ("y", real), ("rule", choices)]
            .map(|(name, domain)| Parameter {
                name: name.to_owned(),
                paths: vec![name.to_owned()],
                domain,
                when: Vec::new(),
            })
            .into()
    }

    fn trials(n: u64) -> Vec<Assignment> {
        let parameters = parameters();
        let one = |i| {
            let mut draw = Draw::new(Purpose::Parameter, 1, i, 0);
            let values = parameters
                .iter()
                .map(|p| (p.name.clone(), p.domain.at(draw.unit())));
            values.collect()
        };
        (0..n).map(one).collect()
    }

    fn shares(f: impl Fn(f64, f64, usize) -> f64) -> Vec<f64> {
        let trials = trials(300);
        let number = |a: &Assignment, name: &str| match a[name] {
            Value::Number(x) => x,
            _ => 0.0,
        };
        let rows: Vec<(&Assignment, f64)> = trials
            .iter()
            .map(|a| {
                let rule = match a["rule"] {
                    Value::Choice(i) => i,
                    _ => 0,
                };
                (a, f(number(a, "x"), number(a, "y"), rule))
            })
            .collect();
        importance(&parameters(), &rows, 0).expect("shares")
    }

    /// Of 3x + y the variances are 9/12 and 1/12; the choice does nothing.
    #[test]
    fn a_sum_is_divided_as_its_variances() {
        let shares = shares(|x, y, _| 3.0 * x + y);
        assert!((shares[0] - 0.9).abs() < 0.05, "{shares:?}");
        assert!((shares[1] - 0.1).abs() < 0.05, "{shares:?}");
        assert!(shares[2] < 0.02, "{shares:?}");
        let trials = trials(60);
        let rows: Vec<(&Assignment, f64)> = (0u32..)
            .zip(&trials)
            .map(|(i, a)| (a, f64::from(i * 7 % 11)))
            .collect();
        let chance = by_chance(&parameters(), &rows, 0);
        assert!(chance.iter().all(|c| *c < shares[0]), "{chance:?}");
    }

    /// Choices at 0, 1, 2 have the variance 2/3, a number in [0, 1] has 1/12.
    #[test]
    fn choices_count_by_their_own_variance() {
        let shares = shares(|x, _, rule| x + [2.0, 0.0, 1.0][rule]);
        assert!((shares[2] - 8.0 / 9.0).abs() < 0.05, "{shares:?}");
        assert!((shares[0] - 1.0 / 9.0).abs() < 0.05, "{shares:?}");
    }

    /// What is an interaction alone belongs to no parameter.
    #[test]
    fn an_interaction_is_nobodys() {
        let shares = shares(|x, y, _| (x - 0.5) * (y - 0.5));
        assert!(shares.iter().all(|s| *s < 0.2), "{shares:?}");
    }

    #[test]
    fn too_little_says_nothing() {
        let one = trials(3);
        let rows: Vec<(&Assignment, f64)> = one.iter().map(|a| (a, 1.0)).collect();
        assert_eq!(importance(&parameters(), &rows, 0), None);
        let many = trials(30);
        let rows: Vec<(&Assignment, f64)> = many.iter().map(|a| (a, 1.0)).collect();
        assert_eq!(importance(&parameters(), &rows, 0), None);
    }
}
