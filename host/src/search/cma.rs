//! CMA-ES (Hansen 2016, arXiv 1604.00772) with negative weights, asked for samples and told their
//! values. All arithmetic is serial `f64`, so a search is the same on every machine with the same
//! library, and samples may be told that were not asked for.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::draw::{Draw, Purpose};
use crate::{Error, Result};

/// Least eigenvalue of the covariance, and what keeps a division finite.
const LEAST: f64 = 1e-8;
/// Largest step size.
const MOST: f64 = 1e32;

/// What follows from dimension and population (section 4 of the tutorial, table 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Constants {
    /// Weights of the samples, best first; the worse half is negative.
    pub weights: Vec<f64>,
    /// Samples with positive weight.
    pub mu: usize,
    /// Variance effective selection mass.
    pub mu_eff: f64,
    /// Rate of the covariance's path.
    pub cc: f64,
    /// Rate of the rank-one update.
    pub c1: f64,
    /// Rate of the rank-mu update.
    pub cmu: f64,
    /// Rate of the step size's path.
    pub c_sigma: f64,
    /// Damping of the step size.
    pub d_sigma: f64,
    /// Expected length of a standard normal vector.
    pub chi: f64,
}

impl Constants {
    /// For `n` dimensions and `population` samples in a generation.
    fn new(n: usize, population: usize) -> Self {
        let (dims, p) = (n as f64, population as f64);
        let mu = population / 2;
        let raw: Vec<f64> = (1..=population)
            .map(|i| f64::midpoint(p, 1.0).ln() - (i as f64).ln())
            .collect();
        let mass = |part: &[f64]| {
            let squares: f64 = part.iter().map(|w| w * w).sum();
            part.iter().sum::<f64>().powi(2) / squares
        };
        let (mu_eff, mu_eff_minus) = (mass(&raw[..mu]), mass(&raw[mu..]));
        let c1 = 2.0 / ((dims + 1.3).powi(2) + mu_eff);
        let cmu = (1.0 - c1 - LEAST)
            .min(2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((dims + 2.0).powi(2) + mu_eff));
        let least = (1.0 + c1 / cmu)
            .min(1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0))
            .min((1.0 - c1 - cmu) / (dims * cmu));
        let positive: f64 = raw.iter().filter(|w| **w > 0.0).sum();
        let negative: f64 = raw.iter().filter(|w| **w < 0.0).map(|w| w.abs()).sum();
        let weights = raw
            .iter()
            .map(|w| match *w >= 0.0 {
                true => w / positive,
                false => w * least / negative,
            })
            .collect();
        let c_sigma = (mu_eff + 2.0) / (dims + mu_eff + 5.0);
        Self {
            weights,
            mu,
            mu_eff,
            cc: (4.0 + mu_eff / dims) / (dims + 4.0 + 2.0 * mu_eff / dims),
            c1,
            cmu,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (dims + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            chi: dims.sqrt() * (1.0 - 1.0 / (4.0 * dims) + 1.0 / (21.0 * dims * dims)),
        }
    }
}

/// All that a search by CMA-ES remembers between two generations; with it the next samples are the
/// same. It is stored as tensors of 64 bits: decimal text would round it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `[n]`.
    pub mean: Vec<f64>,
    /// Step size.
    pub sigma: f64,
    /// `[n, n]`, row after row.
    pub covariance: Vec<f64>,
    /// Path of the step size, `[n]`.
    pub path_sigma: Vec<f64>,
    /// Path of the covariance, `[n]`.
    pub path_covariance: Vec<f64>,
    /// Generations told.
    pub generation: u64,
    /// Samples in a generation.
    pub population: usize,
}

impl State {
    /// Names and numbers of its parts, to be stored.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, Vec<f64>); 6] {
        [
            ("mean", self.mean.clone()),
            ("sigma", vec![self.sigma]),
            ("covariance", self.covariance.clone()),
            ("path_sigma", self.path_sigma.clone()),
            ("path_covariance", self.path_covariance.clone()),
            // Both are far below 2^53.
            (
                "counts",
                vec![self.generation as f64, self.population as f64],
            ),
        ]
    }

    /// From what [`Self::parts`] gave, by name.
    ///
    /// # Errors
    /// Data error for a part that is missing or has another length.
    pub fn from_parts(part: &dyn Fn(&str) -> Option<Vec<f64>>) -> Result<Self> {
        let find = |name: &str| {
            let missing = || Error::data(format!("the state of CMA-ES lacks `{name}`"));
            part(name).ok_or_else(missing)
        };
        let (sigma, counts) = (find("sigma")?, find("counts")?);
        let ([sigma], [generation, population]) = (&sigma[..], &counts[..]) else {
            return Err(Error::data("the state of CMA-ES is damaged"));
        };
        Ok(Self {
            mean: find("mean")?,
            sigma: *sigma,
            covariance: find("covariance")?,
            path_sigma: find("path_sigma")?,
            path_covariance: find("path_covariance")?,
            generation: *generation as u64,
            population: *population as usize,
        })
    }
}

/// Eigenvectors of the covariance in columns, and the square roots of its eigenvalues.
struct Axes {
    vectors: DMatrix<f64>,
    lengths: DVector<f64>,
}

/// A search by CMA-ES; what it finds is minimal.
pub struct CmaEs {
    constants: Constants,
    mean: DVector<f64>,
    sigma: f64,
    covariance: DMatrix<f64>,
    path_sigma: DVector<f64>,
    path_covariance: DVector<f64>,
    generation: u64,
    axes: Option<Axes>,
}

impl CmaEs {
    /// Starts at `mean` with step size `sigma` and the identity as covariance.
    ///
    /// # Errors
    /// Usage error for no dimension, fewer than 4 samples, or a step size that is not positive.
    pub fn new(mean: &[f64], sigma: f64, population: usize) -> Result<Self> {
        let n = mean.len();
        let mut covariance = vec![0.0; n * n];
        covariance.iter_mut().step_by(n + 1).for_each(|c| *c = 1.0);
        Self::restore(&State {
            mean: mean.to_vec(),
            sigma,
            covariance,
            path_sigma: vec![0.0; n],
            path_covariance: vec![0.0; n],
            generation: 0,
            population,
        })
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// As for [`Self::new`]; also where the parts of the state do not fit each other.
    pub fn restore(state: &State) -> Result<Self> {
        let n = state.mean.len();
        if state.population < 4 {
            let text = format!("CMA-ES has a population of {}", state.population);
            return Err(Error::usage(text).hint("it needs 4 samples or more"));
        }
        if n == 0 || !(state.sigma > 0.0 && state.sigma.is_finite()) {
            return Err(Error::usage(format!(
                "CMA-ES starts with {n} dimensions and step size {}",
                state.sigma
            )));
        }
        let fits = state.covariance.len() == n * n
            && state.path_sigma.len() == n
            && state.path_covariance.len() == n;
        if !fits {
            return Err(Error::data(format!(
                "the state of CMA-ES is damaged: its parts do not fit {n} dimensions"
            )));
        }
        Ok(Self {
            constants: Constants::new(n, state.population),
            mean: DVector::from_row_slice(&state.mean),
            sigma: state.sigma,
            covariance: DMatrix::from_row_slice(n, n, &state.covariance),
            path_sigma: DVector::from_row_slice(&state.path_sigma),
            path_covariance: DVector::from_row_slice(&state.path_covariance),
            generation: state.generation,
            axes: None,
        })
    }

    /// What [`Self::restore`] goes on from.
    #[must_use]
    pub fn state(&self) -> State {
        State {
            mean: self.mean.as_slice().to_vec(),
            sigma: self.sigma,
            covariance: self.covariance.transpose().as_slice().to_vec(),
            path_sigma: self.path_sigma.as_slice().to_vec(),
            path_covariance: self.path_covariance.as_slice().to_vec(),
            generation: self.generation,
            population: self.constants.weights.len(),
        }
    }

    /// What follows from dimension and population.
    #[must_use]
    pub fn constants(&self) -> &Constants {
        &self.constants
    }

    /// Samples in a generation.
    #[must_use]
    pub fn population(&self) -> usize {
        self.constants.weights.len()
    }

    /// The covariance's axes. It is made symmetric and its eigenvalues positive first, and
    /// replaced by what they give. Each vector's largest entry is positive, so that samples do not
    /// depend on a sign that the solver is free to choose.
    fn axes(&mut self) -> Axes {
        if let Some(axes) = self.axes.take() {
            return axes;
        }
        let symmetric = (&self.covariance + self.covariance.transpose()) * 0.5;
        let eigen = SymmetricEigen::new(symmetric);
        let values = eigen.eigenvalues.map(|v| if v < 0.0 { LEAST } else { v });
        let mut vectors = eigen.eigenvectors;
        for mut column in vectors.column_iter_mut() {
            let largest = column
                .iter()
                .fold(0.0f64, |m, v| if v.abs() > m.abs() { *v } else { m });
            if largest < 0.0 {
                column.neg_mut();
            }
        }
        let mut scaled = vectors.clone();
        for (mut column, value) in scaled.column_iter_mut().zip(values.iter()) {
            column *= *value;
        }
        self.covariance = scaled * vectors.transpose();
        Axes {
            vectors,
            lengths: values.map(f64::sqrt),
        }
    }

    /// The sample `mean + sigma · B D z` for standard normal numbers `z: [n]`.
    ///
    /// # Errors
    /// Internal error for another number of dimensions.
    pub fn ask(&mut self, z: &[f64]) -> Result<Vec<f64>> {
        if z.len() != self.mean.len() {
            return Err(Error::internal("a draw of CMA-ES has another dimension"));
        }
        let axes = self.axes();
        let z = DVector::from_row_slice(z).component_mul(&axes.lengths);
        let x = &self.mean + &axes.vectors * z * self.sigma;
        self.axes = Some(axes);
        Ok(x.as_slice().to_vec())
    }

    /// A whole generation, drawn for (`seed`, `exploration`) and this generation's number.
    ///
    /// # Errors
    /// None that depend on the caller.
    pub fn ask_all(&mut self, seed: u64, exploration: u64) -> Result<Vec<Vec<f64>>> {
        let n = self.mean.len();
        let mut draw = Draw::new(Purpose::Cma, seed, exploration, self.generation);
        (0..self.population())
            .map(|_| {
                let z: Vec<f64> = (0..n).map(|_| draw.normal()).collect();
                self.ask(&z)
            })
            .collect()
    }

    /// Learns from a generation: `samples`, each `[n]`, and their `values`, of which small ones are
    /// good. Of equal values the earlier sample counts as better.
    ///
    /// # Errors
    /// Internal error for another number of samples or dimensions, or a value that is not a number.
    pub fn tell(&mut self, samples: &[Vec<f64>], values: &[f64]) -> Result<()> {
        let (n, population) = (self.mean.len(), self.population());
        let fits = samples.len() == population && values.len() == population;
        if !fits || samples.iter().any(|x| x.len() != n) || values.iter().any(|v| v.is_nan()) {
            return Err(Error::internal("CMA-ES is told another generation"));
        }
        self.generation += 1;
        let axes = self.axes();
        // C^(-1/2) y
        let whiten = |y: &DVector<f64>| {
            let along = axes.vectors.tr_mul(y).component_div(&axes.lengths);
            &axes.vectors * along
        };
        let mut order: Vec<usize> = (0..population).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let steps: Vec<DVector<f64>> = order
            .iter()
            .map(|i| (DVector::from_row_slice(&samples[*i]) - &self.mean) / self.sigma)
            .collect();
        let c = &self.constants;
        let mut mean_step = DVector::zeros(n);
        for (step, weight) in steps.iter().zip(&c.weights).take(c.mu) {
            mean_step += step * *weight;
        }
        self.mean += &mean_step * self.sigma;
        self.path_sigma = &self.path_sigma * (1.0 - c.c_sigma)
            + whiten(&mean_step) * (c.c_sigma * (2.0 - c.c_sigma) * c.mu_eff).sqrt();
        let length = self.path_sigma.norm();
        self.sigma =
            (self.sigma * ((c.c_sigma / c.d_sigma) * (length / c.chi - 1.0)).exp()).min(MOST);
        let generations = 2 * i32::try_from(self.generation + 1).unwrap_or(i32::MAX / 2);
        let settled = (1.0 - (1.0 - c.c_sigma).powi(generations)).sqrt();
        let moves = length / settled < (1.4 + 2.0 / (n as f64 + 1.0)) * c.chi;
        let h = f64::from(u8::from(moves));
        self.path_covariance = &self.path_covariance * (1.0 - c.cc)
            + &mean_step * (h * (c.cc * (2.0 - c.cc) * c.mu_eff).sqrt());
        let sum: f64 = c.weights.iter().sum();
        let kept = 1.0 + c.c1 * (1.0 - h) * c.cc * (2.0 - c.cc) - c.c1 - c.cmu * sum;
        let mut covariance = &self.covariance * kept;
        covariance.ger(c.c1, &self.path_covariance, &self.path_covariance, 1.0);
        for (step, weight) in steps.iter().zip(&c.weights) {
            let weight = match *weight >= 0.0 {
                true => *weight,
                false => weight * n as f64 / (whiten(step).norm_squared() + LEAST),
            };
            covariance.ger(c.cmu * weight, step, step, 1.0);
        }
        self.covariance = covariance;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ellipsoid(x: &[f64]) -> f64 {
        let terms = x.iter().enumerate();
        terms.map(|(i, v)| 100f64.powi(i as i32) * v * v).sum()
    }

    fn generation(cma: &mut CmaEs, seed: u64) -> Vec<f64> {
        let samples = cma.ask_all(seed, 0).expect("samples");
        let values: Vec<f64> = samples.iter().map(|x| ellipsoid(x)).collect();
        cma.tell(&samples, &values).expect("told");
        values
    }

    #[test]
    fn it_finds_the_bottom_of_an_ellipsoid() {
        let mut cma = CmaEs::new(&[3.0, -2.0, 1.0, 2.0], 1.0, 12).expect("a start");
        let mut best = f64::INFINITY;
        for _ in 0..220 {
            best = generation(&mut cma, 5).into_iter().fold(best, f64::min);
        }
        assert!(best < 1e-10, "{best}");
    }

    #[test]
    fn a_restored_search_draws_the_same_bits() {
        let mut whole = CmaEs::new(&[1.0; 5], 0.5, 8).expect("a start");
        let mut cut = CmaEs::new(&[1.0; 5], 0.5, 8).expect("a start");
        for _ in 0..6 {
            generation(&mut whole, 9);
            let parts = cut.state().parts();
            let part = |name: &str| {
                let found = parts.iter().find(|(own, _)| *own == name);
                found.map(|(_, numbers)| numbers.clone())
            };
            cut = CmaEs::restore(&State::from_parts(&part).expect("state")).expect("state");
            generation(&mut cut, 9);
        }
        assert_eq!(whole.state(), cut.state());
        assert_eq!(
            whole.ask_all(9, 0).expect("samples"),
            cut.ask_all(9, 0).expect("samples")
        );
    }

    #[test]
    fn what_cannot_start_is_refused() {
        assert!(CmaEs::new(&[], 1.0, 8).is_err());
        assert!(CmaEs::new(&[0.0], 1.0, 3).is_err());
        assert!(CmaEs::new(&[0.0], 0.0, 8).is_err());
        assert!(CmaEs::new(&[0.0], f64::NAN, 8).is_err());
        let mut state = CmaEs::new(&[0.0; 3], 1.0, 8).expect("a start").state();
        state.covariance.pop();
        assert!(CmaEs::restore(&state).is_err());
    }
}
