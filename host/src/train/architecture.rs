//! Architecture parameters (the α of DARTS): a group of tensors with an optimiser of its own.
//! They are no part of the network, whose mixed edges see only what a search makes of them
//! ([`Mixture`](crate::nn::Mixture)), so that neither the weights' optimiser nor its clipping
//! ever meets them. They are `f64` on the CPU: they are few, and exact everywhere.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::optimizer::Optimizer;
use crate::nn::{NamedTensor, Role, Tables};
use crate::ops::shape::copy_in_place;
use crate::plan::{GradientClip, OptimizerPlan};
use crate::{Error, Result};

/// In front of every name in a checkpoint.
const PREFIX: &str = "architecture.";

/// Tables of parameters, and what changes them.
pub struct Architecture {
    tables: Vec<NamedTensor>,
    optimizer: Optimizer,
}

impl Architecture {
    /// `initial` tables, each with rows of one length, changed by `plan`.
    ///
    /// # Errors
    /// An internal error where the rows of a table differ in length.
    pub fn new(initial: &Tables, plan: &OptimizerPlan) -> Result<Self> {
        let tables = initial.iter().map(|(name, rows)| {
            Ok(NamedTensor {
                name: Arc::from(name.as_str()),
                tensor: table(rows)?,
                role: Role::Weight,
                learns: true,
            })
        });
        let tables = tables.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            optimizer: Optimizer::new(plan, GradientClip::default(), &tables)?,
            tables,
        })
    }

    /// The parameters as they are.
    ///
    /// # Errors
    /// Failures of tensor operations.
    pub fn values(&self) -> Result<Tables> {
        let rows = |t: &NamedTensor| Ok((t.name.to_string(), t.tensor.to_vec2::<f64>()?));
        self.tables.iter().map(rows).collect()
    }

    /// Puts `values` in the place of the parameters; moments stay.
    ///
    /// # Errors
    /// An internal error where a table lacks or has another shape.
    pub fn set(&self, values: &Tables) -> Result<()> {
        self.tables
            .iter()
            .try_for_each(|t| copy_in_place(&t.tensor, &self.like(t, values)?))
    }

    /// One step of the optimiser at the learning rate `lr`, from the derivatives of the loss by
    /// the parameters.
    ///
    /// # Errors
    /// As for [`Architecture::set`].
    pub fn step(&mut self, gradients: &Tables, lr: f64) -> Result<()> {
        let named = self.tables.iter();
        let named = named.map(|t| Ok((t.name.clone(), self.like(t, gradients)?)));
        let gradients = named.collect::<Result<_>>()?;
        self.optimizer.step(gradients, lr)
    }

    /// The learning rate of its optimiser.
    pub fn base_rate(&self) -> f64 {
        self.optimizer.base_rate()
    }

    /// Parameters and moments under checkpoint names: `architecture.<table>`,
    /// `architecture.optimizer.<table>.<index>`.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let tables = self.tables.iter();
        let tables = tables.map(|t| (format!("{PREFIX}{}", t.name), t.tensor.clone()));
        let moments = self.optimizer.tensors().into_iter();
        tables
            .chain(moments.map(|(name, moment)| (format!("{PREFIX}{name}"), moment)))
            .collect()
    }

    /// Steps done, which a checkpoint needs besides.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Takes back what [`Architecture::tensors`] and [`Architecture::steps`] gave.
    ///
    /// # Errors
    /// A usage error that names what is missing.
    pub fn load(&mut self, steps: u64, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<()> {
        let find = |name: &str| find(&format!("{PREFIX}{name}"));
        for table in &self.tables {
            let saved = find(&table.name).ok_or_else(|| {
                let name = format!("{PREFIX}{}", table.name);
                Error::usage(format!("the checkpoint has no tensor `{name}`"))
            })?;
            copy_in_place(&table.tensor, &saved.to_dtype(DType::F64)?)?;
        }
        self.optimizer.load(steps, &find)
    }

    fn like(&self, table_of: &NamedTensor, values: &Tables) -> Result<Tensor> {
        let rows = values.get(&*table_of.name).ok_or_else(|| {
            Error::internal(format!("no values for the table `{}`", table_of.name))
        })?;
        let values = table(rows)?;
        if values.dims() != table_of.tensor.dims() {
            return Err(Error::internal(format!(
                "the table `{}` has shape {:?}, given {:?}",
                table_of.name,
                table_of.tensor.dims(),
                values.dims()
            )));
        }
        Ok(values)
    }
}

/// Rows as a tensor, `[rows, columns]`.
///
/// # Errors
/// An internal error where rows differ in length.
pub fn table(rows: &[Vec<f64>]) -> Result<Tensor> {
    let columns = rows.first().map_or(0, Vec::len);
    if rows.iter().any(|row| row.len() != columns) {
        return Err(Error::internal("a table with rows of several lengths"));
    }
    Ok(Tensor::from_vec(
        rows.concat(),
        (rows.len(), columns),
        &Device::Cpu,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(values: [f64; 4]) -> Tables {
        let rows = values.chunks(2).map(<[f64]>::to_vec).collect();
        Tables::from([("normal".to_owned(), rows)])
    }

    fn adam() -> OptimizerPlan {
        OptimizerPlan::Adam {
            lr: 3e-4,
            betas: [0.5, 0.999],
            eps: 1e-8,
            weight_decay: 1e-3,
            decoupled_decay: 0.0,
        }
    }

    /// Adam with the decay in the gradient (Kingma and Ba 2015, algorithm 1), by hand.
    #[test]
    fn a_step_is_adams() {
        let start = [0.5, -0.25, 0.125, 0.0];
        let gradients = [0.1, -0.2, 0.3, 0.4];
        let mut ours = Architecture::new(&tables(start), &adam()).expect("tables");
        let (mut p, mut m, mut v) = (start, [0.0; 4], [0.0; 4]);
        for step in 1..=3 {
            ours.step(&tables(gradients), 3e-4).expect("a step");
            for i in 0..4 {
                let g = gradients[i] + 1e-3 * p[i];
                m[i] = 0.5 * m[i] + 0.5 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (first, second) = (1.0 - 0.5f64.powi(step), 1.0 - 0.999f64.powi(step));
                p[i] -= 3e-4 * (m[i] / first) / ((v[i] / second).sqrt() + 1e-8);
            }
        }
        let values = ours.values().expect("values")["normal"].concat();
        for (ours, expected) in values.iter().zip(p) {
            assert!((ours - expected).abs() < 1e-15, "{ours} {expected}");
        }
    }

    #[test]
    fn what_a_checkpoint_holds_goes_on_with_the_same_bits() {
        let gradients = [0.1, -0.2, 0.3, 0.4];
        let mut whole = Architecture::new(&tables([1.0; 4]), &adam()).expect("tables");
        whole.step(&tables(gradients), 3e-4).expect("a step");
        let held: Vec<_> = whole
            .tensors()
            .into_iter()
            .map(|(name, t)| (name, t.copy().expect("a copy")))
            .collect();
        assert!(
            held.iter()
                .all(|(name, _)| name.starts_with("architecture."))
        );
        let steps = whole.steps();
        let mut resumed = Architecture::new(&tables([0.0; 4]), &adam()).expect("tables");
        let find = |name: &str| held.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        resumed.load(steps, &find).expect("a checkpoint");
        for one in [&mut whole, &mut resumed] {
            one.step(&tables(gradients), 3e-4).expect("a step");
        }
        assert_eq!(whole.values().expect("v"), resumed.values().expect("v"));
    }
}
