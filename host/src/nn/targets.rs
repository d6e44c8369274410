//! The one form in which rules are told what the network is to predict.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Answers as every rule gets them, in every layer: `[B, classes]` of the type and on the device of
/// `like`. Labels (`u32`, `[B]`) become one-hot rows; one that is beyond the classes, as that of a
/// sample without a label, is a row of zeros. Values stay as they are.
///
/// # Errors
/// Values that are not one row for each sample; failures of the device.
pub fn of(answers: &Tensor, classes: usize, like: &Tensor) -> Result<Tensor> {
    let answers = answers.to_device(like.device())?;
    if answers.dtype() == DType::U32 && answers.rank() == 1 {
        let numbers = Tensor::arange(0, classes as u32, like.device())?.unsqueeze(0)?;
        let labels = answers.unsqueeze(1)?;
        return Ok(labels.broadcast_eq(&numbers)?.to_dtype(like.dtype())?);
    }
    match answers.rank() {
        0 => Err(Error::internal("answers without a batch")),
        1 => Ok(answers.unsqueeze(1)?.to_dtype(like.dtype())?),
        2 => Ok(answers.to_dtype(like.dtype())?),
        _ => Ok(answers.flatten_from(1)?.to_dtype(like.dtype())?),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn labels_are_one_hot_rows_and_a_missing_one_is_a_row_of_zeros() {
        let like = Tensor::zeros((1, 1), DType::F64, &Device::Cpu).expect("zeros");
        let labels = Tensor::new(&[2u32, u32::MAX, 0], &Device::Cpu).expect("labels");
        let rows = of(&labels, 3, &like).and_then(|t| Ok(t.to_vec2::<f64>()?));
        let expected = vec![vec![0.0, 0.0, 1.0], vec![0.0; 3], vec![1.0, 0.0, 0.0]];
        assert_eq!(rows.expect("rows"), expected);
        let values = Tensor::new(&[[0.5f32, 2.0], [1.0, -1.0]], &Device::Cpu).expect("values");
        let same = of(&values, 2, &like).and_then(|t| Ok(t.to_vec2::<f64>()?));
        assert_eq!(same.expect("rows"), vec![vec![0.5, 2.0], vec![1.0, -1.0]]);
    }
}
