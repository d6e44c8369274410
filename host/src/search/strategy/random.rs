//! Random search: every genotype is drawn evenly (Li and Talwalkar 2019).

use super::agenda::{Answer, Request, Scene, Strategy, at_least};
use crate::Result;

/// Draws genotypes.
pub struct Random {
    scene: Scene,
    evaluations: u64,
}

impl Random {
    /// That many genotypes of the scene's space.
    ///
    /// # Errors
    /// Usage error for no evaluation.
    pub fn new(scene: Scene, evaluations: u64) -> Result<Self> {
        at_least("evaluations", evaluations, 1)?;
        Ok(Self { scene, evaluations })
    }
}

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn next(&self, answers: &[Answer]) -> Result<Option<Request>> {
        let number = answers.len() as u64;
        Ok((number < self.evaluations).then(|| self.scene.drawn(number)))
    }

    fn requests(&self) -> u64 {
        self.evaluations
    }
}
