//! A density over assignments as a mixture: a component for each trial, a product of kernels over the
//! parameters, and one broad component for what was never tried (Bergstra et al. 2011; all parameters
//! together as in Falkner et al. 2018, section 3.2). Numbers have normal kernels cut at the ends of
//! their range, choices have weights. A trial in which a parameter was not active says nothing of it.

use libm::erf;

use crate::search::draw::Draw;
use crate::sweep::domain::{Domain, Value};
use crate::sweep::space::{Assignment, Space};

/// Width of a kernel for one trial, as a share of the range. Wider ones (0.2) find worse minima on all
/// functions of `ci/samplers-beside-optuna.py`.
const WIDTH: f64 = 0.07;

/// Least width of a kernel, as a share of the range.
const LEAST: f64 = 0.01;

/// A mixture of kernels.
pub struct Parzen<'a> {
    space: &'a Space,
    trials: Vec<&'a Assignment>,
    /// Of each component; the last is the broad one.
    weights: Vec<f64>,
    /// For each component and parameter: centre, width and share inside of the range of a normal kernel.
    normals: Vec<Vec<Option<(f64, f64, f64)>>>,
}

impl<'a> Parzen<'a> {
    /// The density of `trials`, oldest first.
    pub fn new(space: &'a Space, trials: Vec<&'a Assignment>) -> Self {
        let mut weights = ages(trials.len());
        weights.push(1.0);
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        let mut density = Self {
            space,
            trials,
            weights,
            normals: Vec::new(),
        };
        let one = |trial: &&Assignment| {
            let parameters = space.parameters().iter();
            parameters
                .map(|p| density.normal(trial, &p.name, &p.domain))
                .collect()
        };
        density.normals = density.trials.iter().map(one).collect();
        density
    }

    /// The normal kernel of a parameter around its value in `trial`.
    fn normal(&self, trial: &Assignment, name: &str, domain: &Domain) -> Option<(f64, f64, f64)> {
        let (low, high) = domain.line().filter(|(low, high)| high > low)?;
        let mean = domain.on_line(*trial.get(name)?);
        let sigma = self.sigma(domain, high - low);
        Some((
            mean,
            sigma,
            below(high, mean, sigma) - below(low, mean, sigma),
        ))
    }

    /// Width of the normal kernel of a domain whose line has the length `range`: by Scott's rule, as in
    /// Falkner et al. 2018, and so wide that the next step is reached.
    fn sigma(&self, domain: &Domain, range: f64) -> f64 {
        let n = self.trials.len().max(1) as f64;
        let dims = self.space.parameters().len() as f64;
        let step = match domain {
            Domain::Stepped { .. } | Domain::Whole { .. } => {
                range / domain.levels().unwrap_or(1) as f64
            }
            _ => 0.0,
        };
        let sigma = WIDTH * range * n.powf(-1.0 / (dims + 4.0));
        sigma.max(0.5 * step).clamp(LEAST * range, range)
    }

    /// The weight of choice `i` of `n` in a kernel around `own`; even without.
    fn chance(&self, n: usize, own: Option<usize>, i: usize) -> f64 {
        let spread = 1.0 / (self.trials.len() as f64 + 1.0);
        match own {
            None => 1.0 / n as f64,
            Some(own) => {
                let hit = if own == i { 1.0 } else { 0.0 };
                (hit + spread) / (1.0 + n as f64 * spread)
            }
        }
    }

    /// An assignment drawn from the density.
    pub fn draw(&self, draw: &mut Draw) -> Assignment {
        let mut u = draw.unit();
        let mut component = self.weights.len() - 1;
        for (i, weight) in self.weights.iter().enumerate() {
            if u < *weight {
                component = i;
                break;
            }
            u -= weight;
        }
        let trial = self.trials.get(component);
        self.space.fill(|parameter| {
            let own = trial.and_then(|t| t.get(&parameter.name)).copied();
            let domain = &parameter.domain;
            match (domain.line(), own) {
                (Some((low, high)), Some(own)) if high > low => {
                    let (mean, sigma) = (domain.on_line(own), self.sigma(domain, high - low));
                    // At least a third of the kernel lies inside.
                    for _ in 0..100 {
                        let x = mean + sigma * draw.normal();
                        if (low..=high).contains(&x) {
                            return domain.at_line(x);
                        }
                    }
                    own
                }
                (Some(_), _) => domain.at(draw.unit()),
                (None, own) => {
                    let n = domain.levels().unwrap_or(1) as usize;
                    let own = match own {
                        Some(Value::Choice(i)) => Some(i),
                        _ => None,
                    };
                    let mut u = draw.unit();
                    for i in 0..n {
                        let chance = self.chance(n, own, i);
                        if u < chance {
                            return Value::Choice(i);
                        }
                        u -= chance;
                    }
                    Value::Choice(n - 1)
                }
            }
        })
    }

    /// The logarithm of the density at `values`, over the parameters active there.
    pub fn ln_density(&self, values: &Assignment) -> f64 {
        let all = self.space.parameters().iter().enumerate();
        let active: Vec<(usize, &str, &Domain, Value)> = all
            .filter_map(|(i, p)| Some((i, p.name.as_str(), &p.domain, *values.get(&p.name)?)))
            .collect();
        let terms = self.weights.iter().enumerate().map(|(component, weight)| {
            let mut sum = weight.ln();
            for (i, name, domain, value) in &active {
                let normal = self.normals.get(component).and_then(|n| n[*i]);
                let own = self.trials.get(component).and_then(|t| t.get(*name));
                sum += self.ln_kernel(domain, normal, own, *value);
            }
            sum
        });
        let terms: Vec<f64> = terms.collect();
        let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + terms.iter().map(|t| (t - most).exp()).sum::<f64>().ln()
    }

    /// The logarithm of one kernel: a density for a continuous range, else a probability.
    fn ln_kernel(
        &self,
        domain: &Domain,
        normal: Option<(f64, f64, f64)>,
        own: Option<&Value>,
        value: Value,
    ) -> f64 {
        let Some((low, high)) = domain.line() else {
            let own = match own {
                Some(Value::Choice(i)) => Some(*i),
                _ => None,
            };
            let n = domain.levels().unwrap_or(1) as usize;
            return match value {
                Value::Choice(i) => self.chance(n, own, i).ln(),
                _ => 0.0,
            };
        };
        if high <= low {
            return 0.0;
        }
        let (a, b) = domain.piece(value);
        let Some((mean, sigma, inside)) = normal else {
            let piece = if b > a { b - a } else { 1.0 };
            return (piece / (high - low)).ln();
        };
        if b > a {
            // Far from the mean the difference is rounded away.
            let share = below(b, mean, sigma) - below(a, mean, sigma);
            return (share.max(1e-300) / inside).ln();
        }
        let z = (a - mean) / sigma;
        -0.5 * z * z - (sigma * std::f64::consts::TAU.sqrt() * inside).ln()
    }
}

/// The share of a normal distribution below `x`.
fn below(x: f64, mean: f64, sigma: f64) -> f64 {
    0.5 * (1.0 + erf((x - mean) / (sigma * std::f64::consts::SQRT_2)))
}

/// Weights by age, oldest first: the last 25 count fully, earlier ones less and less.
fn ages(n: usize) -> Vec<f64> {
    const FULL: usize = 25;
    if n <= FULL {
        return vec![1.0; n];
    }
    let old = n - FULL;
    let first = 1.0 / n as f64;
    let ramp = |i: usize| first + (1.0 - first) * i as f64 / (old.max(2) - 1) as f64;
    (0..old).map(ramp).chain([1.0; FULL]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::draw::Purpose;
    use crate::sweep::domain::Choice;
    use crate::sweep::space::Parameter;

    fn space() -> Space {
        let parameter = |name: &str, domain, when: &[(&str, usize)]| Parameter {
            name: name.to_owned(),
            paths: vec![name.to_owned()],
            domain,
            when: when
                .iter()
                .map(|(n, c)| ((*n).to_owned(), vec![*c]))
                .collect(),
        };
        let word = |w: &str| Choice::plain(toml::Value::String(w.to_owned()));
        Space::new(vec![
            parameter(
                "rule",
                Domain::Choices(vec![word("a"), word("b"), word("c")]),
                &[],
            ),
            parameter(
                "n",
                Domain::Whole {
                    low: 1,
                    high: 6,
                    step: 1,
                    log: true,
                },
                &[],
            ),
            parameter("s", Domain::stepped(0.0, 0.4, 0.1), &[("rule", 1)]),
        ])
        .unwrap()
    }

    /// Probabilities of all assignments of a discrete space add up to one, with conditions too.
    #[test]
    fn the_density_is_one() {
        let space = space();
        let all: Vec<Assignment> = (0..space.grid_size().unwrap())
            .map(|i| space.grid(i).unwrap())
            .collect();
        for n in [0, 1, 7, 40] {
            let trials = (0..n).map(|i| &all[(i * 13) % all.len()]).collect();
            let density = Parzen::new(&space, trials);
            let sum: f64 = all.iter().map(|a| density.ln_density(a).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{n}: {sum}");
        }
    }

    /// What is drawn comes as often as the density says.
    #[test]
    fn draws_follow_the_density() {
        let space = space();
        let all: Vec<Assignment> = (0..space.grid_size().unwrap())
            .map(|i| space.grid(i).unwrap())
            .collect();
        let density = Parzen::new(&space, vec![&all[3], &all[9], &all[9]]);
        let mut counts = vec![0.0; all.len()];
        let n = 40_000;
        for i in 0..n {
            let drawn = density.draw(&mut Draw::new(Purpose::Candidate, 5, i, 0));
            counts[all.iter().position(|a| *a == drawn).expect("one of them")] += 1.0;
        }
        for (one, count) in all.iter().zip(&counts) {
            let p = density.ln_density(one).exp();
            let spread = (p * (1.0 - p) / n as f64).sqrt();
            let share = count / n as f64;
            assert!(
                (share - p).abs() < 5.0 * spread + 1e-4,
                "{one:?}: {share} {p}"
            );
        }
    }
}
