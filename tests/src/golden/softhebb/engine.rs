//! What the reference does around its layers: classes of neurons, and whitening.

use biorule::data::whiten::{whiten, zca_matrix};
use biorule::train::neurons::{label_neurons, neuron_accuracy};
use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::golden::{File, Recogniser, Tolerance};

/// `neuron_labelling`: labels from the training part, scored on both parts.
pub(super) const LABELS: Recogniser = Recogniser {
    name: "neuron labels",
    understands: |file| file.has("neuron_labels") && file.has("winners") && file.has("wta"),
    run: |file, checks| {
        let wta = file.tensor("wta")?;
        let neurons = wta.dim(1)?;
        let (winners, classes) = (whole(file, "winners")?, whole(file, "targets")?);
        let count = file.count("n_classes")?;
        let activity = wta.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let labels = label_neurons(&winners, &activity, &classes, neurons, count);
        checks.compare(
            "neuron_labels",
            &numbers(&labels)?,
            &file.tensor("neuron_labels")?.to_dtype(DType::F64)?,
            Tolerance::Exact,
        )?;
        for (part, name) in [("", "accuracy_percent"), ("test_", "test_accuracy_percent")] {
            let (winners, classes) = (
                whole(file, &format!("{part}winners"))?,
                whole(file, &format!("{part}targets"))?,
            );
            let percent = 100.0 * neuron_accuracy(&winners, &classes, &labels);
            let got = Tensor::new(&[percent], &Device::Cpu)?;
            checks.compare(
                name,
                &got,
                &file.tensor(name)?.to_dtype(DType::F64)?,
                Tolerance::Largest(1e-5),
            )?;
        }
        Ok(())
    },
};

/// `zca_whitening`: the matrix, and what it makes of the images.
pub(super) const WHITENING: Recogniser = Recogniser {
    name: "zca whitening",
    understands: |file| file.has("zca_matrix") && file.has("images_nhwc"),
    run: |file, checks| {
        let images = file
            .tensor("images_nhwc")?
            .to_dtype(DType::F64)?
            .permute((0, 3, 1, 2))?
            .contiguous()?;
        let d = images.elem_count() / images.dim(0)?;
        let x = images.flatten_all()?.to_vec1::<f64>()?;
        let matrix = zca_matrix(&x, d, file.number("smoothing")?)?;
        let white = Tensor::from_vec(whiten(&x, d, &matrix), images.shape(), &Device::Cpu)?;
        let matrix = Tensor::from_vec(matrix, (d, d), &Device::Cpu)?;
        for (name, got) in [("zca_matrix", &matrix), ("whitened_nchw", &white)] {
            let want = file.tensor(name)?.to_dtype(DType::F64)?;
            checks.compare(name, got, &want, Tolerance::Largest(1e-5))?;
        }
        Ok(())
    },
};

fn whole(file: &File, name: &str) -> Result<Vec<u32>> {
    let values = file
        .tensor(name)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1::<f64>()?;
    Ok(values.into_iter().map(|v| v as u32).collect())
}

fn numbers(values: &[u32]) -> Result<Tensor> {
    let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    Ok(Tensor::new(values, &Device::Cpu)?)
}
