//! Files through a trained network, a batch at a time.

use std::path::{Path, PathBuf};

use super::host::{Predicted, Prediction, Said};
use crate::data::handed::{self, Reader};
use crate::train::evaluate::EVALUATION_BATCH;
use crate::train::predict::{Meaning, Predictor};
use crate::{Error, ExitCode, Result};

/// Samples that are asked for together.
struct Waiting {
    values: Vec<f32>,
    places: Vec<(PathBuf, Option<usize>)>,
}

/// Asks `network` of every sample of the files that `what` names.
///
/// # Errors
/// As for [`super::Host::predict`].
pub(super) fn all(
    mut network: Predictor,
    reader: &Reader,
    what: &Prediction,
    see: &mut dyn FnMut(Predicted<'_>) -> Result<()>,
) -> Result<()> {
    let files = handed::files(&what.paths)?;
    see(Predicted::Opened(network.speaks()))?;
    let mut waiting = Waiting {
        values: Vec::new(),
        places: Vec::new(),
    };
    for file in &files {
        let found = match reader.read(file) {
            Ok(found) => found,
            Err(why) if what.skip && matches!(why.code, ExitCode::Data | ExitCode::Usage) => {
                // In the order of the files.
                ask(&mut network, reader, &mut waiting, what, see)?;
                see(Predicted::LeftOut { file, why })?;
                continue;
            }
            Err(e) => {
                ask(&mut network, reader, &mut waiting, what, see)?;
                return Err(e.or_hint("`--on-error skip` leaves such files out"));
            }
        };
        for (at, sample) in found.values.chunks_exact(reader.each()).enumerate() {
            waiting.values.extend_from_slice(sample);
            let index = (!found.is_one).then_some(at);
            waiting.places.push((Path::to_path_buf(file), index));
            if waiting.places.len() == EVALUATION_BATCH {
                ask(&mut network, reader, &mut waiting, what, see)?;
            }
        }
    }
    ask(&mut network, reader, &mut waiting, what, see)
}

fn ask(
    network: &mut Predictor,
    reader: &Reader,
    waiting: &mut Waiting,
    what: &Prediction,
    see: &mut dyn FnMut(Predicted<'_>) -> Result<()>,
) -> Result<()> {
    if what.stop.stopped() {
        return Err(Error::new(
            ExitCode::Stopped,
            "stopped; answers up to here are those of the first samples",
        ));
    }
    if waiting.places.is_empty() {
        return Ok(());
    }
    let samples = reader.samples(std::mem::take(&mut waiting.values))?;
    let answers = network.answers(&*samples)?;
    for ((file, index), answer) in waiting.places.drain(..).zip(answers) {
        let said = match answer.meaning {
            Meaning::Values(values) => Said::Values(values),
            Meaning::Classes(all) => {
                let top = all.into_iter().take(what.top);
                Said::Classes(top.map(|(c, x)| (samples.class_name(c), c, x)).collect())
            }
        };
        see(Predicted::Sample {
            file: &file,
            index,
            said,
            outputs: answer.outputs,
        })?;
    }
    Ok(())
}
