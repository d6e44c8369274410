//! A strategy and an evaluator, one asking and the other answering.

use std::collections::BTreeMap;

use super::evaluate::Evaluator;
use super::strategy::{Answer, Request, Strategy};
use crate::Result;

/// Asks and evaluates until the strategy ends or `go_on` says no; `answers` are those of an
/// earlier part of the same search. A genotype that was evaluated before with the same share is
/// not evaluated again.
///
/// # Errors
/// Those of the strategy and the evaluator.
pub fn drive(
    strategy: &dyn Strategy,
    evaluator: &mut dyn Evaluator,
    mut answers: Vec<Answer>,
    go_on: &mut dyn FnMut(&Answer) -> Result<bool>,
) -> Result<Vec<Answer>> {
    let key = |request: &Request| (request.genotype.hash(), request.share.to_bits());
    let mut known: BTreeMap<_, Vec<f64>> = answers
        .iter()
        .map(|a| (key(&a.request), a.values.clone()))
        .collect();
    while let Some(request) = strategy.next(&answers)? {
        let key = key(&request);
        let values = match known.get(&key) {
            Some(values) => values.clone(),
            None => evaluator.evaluate(&request)?,
        };
        known.insert(key, values.clone());
        let answer = Answer { request, values };
        let more = go_on(&answer)?;
        answers.push(answer);
        if !more {
            break;
        }
    }
    Ok(answers)
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
