//! CMA-ES (Hansen 2016) over the numbers of a study that are always active; choices and conditional
//! parameters are drawn at random. A generation's trials may run side by side.

use super::asked::{Past, Sampler};
use super::random::Random;
use crate::search::cma::CmaEs;
use crate::search::draw::{Draw, Purpose};
use crate::sweep::plan::{Objective, Study};
use crate::sweep::rank::order;
use crate::sweep::space::{Assignment, Space};
use crate::{Error, Result};

/// Draws until a sample lies inside of all ranges; the last is moved to their ends.
const TRIES: u64 = 100;

/// The strategy.
pub struct Cma {
    space: Space,
    random: Random,
    seed: u64,
    objectives: Vec<Objective>,
    /// Names of the numbers.
    names: Vec<String>,
    /// After `told` generations.
    state: CmaEs,
    told: u64,
    first: CmaEs,
}

impl Cma {
    /// For the parameters of `study`; a `population` of 0 stands for the usual one.
    ///
    /// # Errors
    /// Usage error for a study without a number that is always active, or too small a population.
    pub fn new(study: &Study, population: u64, sigma: f64) -> Result<Self> {
        let names = numbers(&study.space);
        if names.is_empty() {
            return Err(Error::usage(
                "`cma` moves numbers, and the study has none that is always active",
            )
            .hint("take `sampler = \"tpe\"`"));
        }
        let n = names.len();
        let usual = 4 + (3.0 * (n as f64).ln()) as u64;
        let population = if population == 0 { usual } else { population };
        let start = || {
            CmaEs::new(&vec![0.5; n], sigma, population as usize)
                .map_err(|e| e.within("`sampler.population`"))
        };
        Ok(Self {
            space: study.space.clone(),
            random: Random::new(study),
            seed: study.seed,
            objectives: study.objectives.clone(),
            names,
            state: start()?,
            told: 0,
            first: start()?,
        })
    }

    /// Trials of a generation.
    #[must_use]
    pub fn population(&self) -> u64 {
        self.state.population() as u64
    }

    /// The sample of place `i` in the generation after `told`, each coordinate from 0 to 1.
    fn sample(&mut self, i: u64) -> Result<Vec<f64>> {
        let mut x = Vec::new();
        for attempt in 0..TRIES {
            let mut draw = Draw::new(
                Purpose::Generation,
                self.seed,
                self.told,
                i * TRIES + attempt,
            );
            let z: Vec<f64> = self.names.iter().map(|_| draw.normal()).collect();
            x = self.state.ask(&z)?;
            if x.iter().all(|x| (0.0..=1.0).contains(x)) {
                return Ok(x);
            }
        }
        x.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
        Ok(x)
    }

    /// Where `values` lie: at `x` where that stands for them, else where they stand themselves.
    fn place(&self, x: &[f64], values: &Assignment) -> Vec<f64> {
        let one = |(name, x): (&String, &f64)| {
            let (Some(parameter), Some(value)) = (self.space.find(name), values.get(name)) else {
                return *x;
            };
            let domain = &parameter.domain;
            match domain.at(*x) == *value {
                true => *x,
                false => domain.share(*value).unwrap_or(*x),
            }
        };
        self.names.iter().zip(x).map(one).collect()
    }

    /// Learns from all whole generations that are told.
    fn catch_up(&mut self, past: &Past<'_>) -> Result<()> {
        let population = self.population();
        let known = past.told.len() as u64 / population;
        if known < self.told {
            self.state = CmaEs::restore(&self.first.state())?;
            self.told = 0;
        }
        while self.told < known {
            let start = (self.told * population) as usize;
            let trials = &past.told[start..start + population as usize];
            let mut samples = Vec::new();
            for (i, trial) in (0..population).zip(trials) {
                let x = self.sample(i)?;
                samples.push(self.place(&x, &trial.values));
            }
            // Ranks are all that it reads of values.
            let mut ranks = vec![0.0; trials.len()];
            for (rank, i) in order(&self.objectives, trials).into_iter().enumerate() {
                ranks[i] = rank as f64;
            }
            self.state.tell(&samples, &ranks)?;
            self.told += 1;
        }
        Ok(())
    }
}

/// Names of the parameters of `space` that CMA-ES moves.
#[must_use]
pub fn numbers(space: &Space) -> Vec<String> {
    let moved = space.parameters().iter();
    let moved = moved.filter(|p| p.when.is_empty() && p.domain.line().is_some());
    moved.map(|p| p.name.clone()).collect()
}

impl Sampler for Cma {
    fn needs(&self, number: u64) -> u64 {
        number - number % self.population()
    }

    fn ask(&mut self, number: u64, past: &Past<'_>) -> Result<Option<Assignment>> {
        self.catch_up(past)?;
        if self.told != number / self.population() {
            return Err(Error::internal("CMA-ES is asked for another generation"));
        }
        let x = self.sample(number % self.population())?;
        let values = self.space.fill(|parameter| {
            match self.names.iter().position(|name| *name == parameter.name) {
                Some(i) => parameter.domain.at(x[i]),
                None => self.random.draw(number, parameter),
            }
        });
        Ok(Some(values))
    }
}
