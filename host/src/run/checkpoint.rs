//! Checkpoints. One checkpoint is one safetensors file: the tensors, under the
//! names PyTorch users expect, and in its metadata the state that resuming
//! needs. One file becomes `last.safetensors` by one rename, so a process
//! killed at any instant leaves either the former checkpoint or the new one,
//! never a mixture. `previous.safetensors` is the one before, for a disk that
//! damages the last; `state.json` repeats the state for people and tools, and
//! is never read back. The metadata also has a digest over state and tensors: a
//! bit that the disk flipped is noticed by whoever reads the file. Files without
//! one, of earlier versions and other programs, are read as they are.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::atomic;
use crate::text::hex;
use crate::{Error, Result};

/// Metadata key of the state.
const STATE: &str = "biorule.state";
/// Metadata key of the digest.
const DIGEST: &str = "biorule.sha256";

/// What a checkpoint holds.
#[derive(Debug)]
pub struct Checkpoint {
    /// Tensors by name, on the CPU.
    pub tensors: HashMap<String, Tensor>,
    /// What the trainer put beside them.
    pub state: Value,
    /// Why it is not the last one, where that could not be read.
    pub instead: Option<String>,
}

/// The checkpoints of one run.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
}

impl CheckpointStore {
    /// The store in `folder`, which may not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The store in `folder`, which is made where missing.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn open(folder: &Path) -> Result<Self> {
        let store = Self::new(folder);
        store.make().map(|()| store)
    }

    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn make(&self) -> Result<()> {
        let folder = &self.folder;
        std::fs::create_dir_all(folder).map_err(|e| atomic::failed(folder, &e))
    }

    /// Whether there is a checkpoint.
    #[must_use]
    pub fn holds_any(&self) -> bool {
        self.last_path().exists() || self.previous_path().exists()
    }

    /// The newest checkpoint's file.
    #[must_use]
    pub fn last_path(&self) -> PathBuf {
        self.folder.join("last.safetensors")
    }

    /// The best checkpoint's file.
    #[must_use]
    pub fn best_path(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }

    /// The state at the end of the last phase, optimiser included: a longer run goes on from it.
    fn final_path(&self) -> PathBuf {
        self.folder.join("final-state.safetensors")
    }

    /// Keeps the last checkpoint as the state at the end of the phases, under a second name.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn keep_final_state(&self) -> Result<()> {
        match self.last_path().exists() {
            true => atomic::link(&self.last_path(), &self.final_path()),
            false => Ok(()),
        }
    }

    /// State of the checkpoint at the end of the phases that `is_end` accepts, with its file; of
    /// runs that kept none, the one before the last may be it.
    ///
    /// # Errors
    /// Storage error for a file that cannot be read.
    pub fn load_final_state(
        &self,
        is_end: impl Fn(&Value) -> bool,
    ) -> Result<Option<(PathBuf, Value)>> {
        for path in [self.final_path(), self.previous_path()] {
            if path.exists() {
                let state = Self::load(&path)?.state;
                if is_end(&state) {
                    return Ok(Some((path, state)));
                }
            }
        }
        Ok(None)
    }

    /// Makes `path`, one of the checkpoints, the last one again.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn go_back(&self, path: &Path) -> Result<()> {
        atomic::link(path, &self.last_path())
    }

    fn previous_path(&self) -> PathBuf {
        self.folder.join("previous.safetensors")
    }

    /// Makes `tensors` and `state` the last checkpoint, durable when this
    /// returns; with `best`, also the best one.
    ///
    /// # Errors
    /// Storage error where the disk refuses; the former checkpoints stay.
    pub fn save(&self, tensors: &[(String, Tensor)], state: &Value, best: bool) -> Result<()> {
        let bytes = encode(tensors, state)?;
        let last = self.last_path();
        let fresh = self.folder.join("next.safetensors");
        atomic::write(&fresh, &bytes)?;
        drop(bytes);
        if best {
            atomic::link(&fresh, &self.best_path())?;
        }
        if last.exists() {
            atomic::link(&last, &self.previous_path())?;
        }
        atomic::replace(&fresh, &last).map_err(|e| atomic::failed(&last, &e))?;
        let text = serde_json::to_string_pretty(state).unwrap_or_default();
        atomic::write(&self.folder.join("state.json"), text.as_bytes())
    }

    /// The last checkpoint, or where that is damaged the one before; `None`
    /// where there is none.
    ///
    /// # Errors
    /// Storage error where neither can be read.
    pub fn load_last(&self) -> Result<Option<Checkpoint>> {
        let (last, previous) = (self.last_path(), self.previous_path());
        match (last.exists(), previous.exists()) {
            (false, false) => Ok(None),
            (false, true) => Self::load(&previous).map(Some),
            (true, _) => match Self::load(&last) {
                Ok(checkpoint) => Ok(Some(checkpoint)),
                Err(e) if previous.exists() => match Self::load(&previous) {
                    Ok(before) => Ok(Some(Checkpoint {
                        instead: Some(format!("{}; going on from the checkpoint before", e.text)),
                        ..before
                    })),
                    Err(_) => Err(e),
                },
                Err(e) => Err(e),
            },
        }
    }

    /// Whether the last checkpoint, that of a run that has ended, is there and whole.
    ///
    /// # Errors
    /// Storage error where it is not.
    pub fn check_last(&self) -> Result<()> {
        let path = self.last_path();
        match path.exists() {
            true => Self::load(&path).map(drop),
            false => Err(Error::storage(format!("`{}` is gone", path.display())).hint(REPLACE)),
        }
    }

    /// The state of the last checkpoint without its tensors.
    ///
    /// # Errors
    /// Storage error where no checkpoint can be read.
    pub fn last_state(&self) -> Result<Option<Value>> {
        Ok(self.load_last()?.map(|c| c.state))
    }

    /// Reads the checkpoint `path`.
    ///
    /// # Errors
    /// Storage error for a file that is missing, cut short or no checkpoint.
    pub fn load(path: &Path) -> Result<Checkpoint> {
        let bytes = std::fs::read(path).map_err(|e| Error::storage_io(path, &e))?;
        decode(&bytes).map_err(|e| e.within(format!("checkpoint `{}`", path.display())))
    }
}

fn encode(tensors: &[(String, Tensor)], state: &Value) -> Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        plain.push((
            name,
            dtype(tensor.dtype())?,
            tensor.dims().to_vec(),
            bytes(tensor)?,
        ));
    }
    let views = plain
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            view.map(|v| (name.as_str(), v)).map_err(|e| damaged(&e))
        })
        .collect::<Result<Vec<_>>>()?;
    let state = state.to_string();
    let digest = digest(&state, views.iter().map(|(name, view)| (*name, view)));
    let metadata = HashMap::from([
        (STATE.to_owned(), state),
        (DIGEST.to_owned(), digest),
        ("format".to_owned(), "pt".to_owned()),
    ]);
    serialize(views, Some(metadata)).map_err(|e| damaged(&e))
}

/// The checkpoint, or any other safetensors file, that `bytes` are.
///
/// # Errors
/// Storage error for a file that is cut short or is none.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let metadata = header.metadata().as_ref();
    let text = metadata.and_then(|m| m.get(STATE));
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let views = file.tensors();
    if let Some(written) = metadata.and_then(|m| m.get(DIGEST)) {
        let views = views.iter().map(|(name, view)| (name.as_str(), view));
        if digest(text.map_or("", String::as_str), views) != *written {
            let text = "its content is not what was written: the digest in it differs";
            return Err(Error::storage(text).hint(REPLACE));
        }
    }
    let state = match text {
        Some(text) => serde_json::from_str(text)
            .map_err(|e| Error::storage(format!("unreadable state: {e}")))?,
        None => Value::Null,
    };
    let mut tensors = HashMap::new();
    for (name, view) in views {
        tensors.insert(name, tensor(&view)?);
    }
    Ok(Checkpoint {
        tensors,
        state,
        instead: None,
    })
}

/// SHA-256 over the state and every tensor, in the order of their names: name, type, shape, elements.
fn digest<'a, 'd: 'a>(
    state: &str,
    views: impl Iterator<Item = (&'a str, &'a TensorView<'d>)>,
) -> String {
    let mut hash = Sha256::new();
    // Each part after its length, so that none can pass for a piece of another.
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(state.as_bytes());
    for (name, view) in views.collect::<BTreeMap<_, _>>() {
        add(name.as_bytes());
        add(format!("{:?} {:?}", view.dtype(), view.shape()).as_bytes());
        add(view.data());
    }
    hex(&hash.finalize())
}

const REPLACE: &str = "put a good copy in its place, or start a new run folder";

fn damaged(e: &safetensors::SafeTensorError) -> Error {
    Error::storage(format!("not a whole safetensors file: {e}")).hint(REPLACE)
}

fn dtype(dtype: DType) -> Result<Dtype> {
    match dtype {
        DType::F32 => Ok(Dtype::F32),
        DType::F64 => Ok(Dtype::F64),
        DType::U32 => Ok(Dtype::U32),
        DType::I64 => Ok(Dtype::I64),
        DType::U8 => Ok(Dtype::U8),
        DType::BF16 => Ok(Dtype::BF16),
        DType::F16 => Ok(Dtype::F16),
        other => Err(Error::internal(format!("checkpoint of a {other:?} tensor"))),
    }
}

/// The elements of `tensor` in row order, little-endian as the format asks.
fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    macro_rules! collect {
        ($t:ty) => {
            tensor
                .to_device(&Device::Cpu)?
                .flatten_all()?
                .to_vec1::<$t>()?
                .into_iter()
                .flat_map(|x| x.to_le_bytes())
                .collect()
        };
    }
    Ok(match tensor.dtype() {
        DType::F32 => collect!(f32),
        DType::F64 => collect!(f64),
        DType::U32 => collect!(u32),
        DType::I64 => collect!(i64),
        DType::U8 => collect!(u8),
        DType::BF16 => collect!(half::bf16),
        DType::F16 => collect!(half::f16),
        other => return Err(Error::internal(format!("checkpoint of a {other:?} tensor"))),
    })
}

fn tensor(view: &TensorView) -> Result<Tensor> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::U32 => DType::U32,
        Dtype::I64 => DType::I64,
        Dtype::U8 => DType::U8,
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        other => return Err(Error::storage(format!("a tensor of type {other:?}"))),
    };
    Ok(Tensor::from_raw_buffer(
        view.data(),
        dtype,
        view.shape(),
        &Device::Cpu,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCode;
    use serde_json::json;

    fn tensors(fill: f32) -> Vec<(String, Tensor)> {
        let cpu = &Device::Cpu;
        let w = Tensor::full(fill, (2, 3), cpu).unwrap();
        let odd = Tensor::new(&[0.1_f64, -2.5], cpu).unwrap();
        let count = Tensor::new(&[7_i64], cpu).unwrap();
        vec![
            ("conv1.weight".into(), w),
            ("norm.mean".into(), odd),
            ("steps".into(), count),
        ]
    }

    fn filled(checkpoint: &Checkpoint) -> f32 {
        let w = &checkpoint.tensors["conv1.weight"];
        w.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        assert!(store.load_last().unwrap().is_none());
        let state = json!({"epoch": 3, "rng": [1_u64 << 63, 2], "note": "ä"});
        store.save(&tensors(0.1), &state, true).unwrap();
        let back = store.load_last().unwrap().unwrap();
        assert_eq!(back.state, state);
        for (name, tensor) in tensors(0.1) {
            let read = &back.tensors[&name];
            assert_eq!(read.dtype(), tensor.dtype());
            assert_eq!(read.dims(), tensor.dims());
            assert_eq!(bytes(read).unwrap(), bytes(&tensor).unwrap());
        }
        let best = CheckpointStore::load(&store.best_path()).unwrap();
        assert_eq!(best.state, state);
    }

    #[test]
    fn best_stays_when_later_ones_are_worse() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        store
            .save(&tensors(1.0), &json!({"epoch": 1}), true)
            .unwrap();
        store
            .save(&tensors(2.0), &json!({"epoch": 2}), false)
            .unwrap();
        let best = CheckpointStore::load(&store.best_path()).unwrap();
        assert_eq!(
            (filled(&best), best.state["epoch"].as_u64()),
            (1.0, Some(1))
        );
        assert!((filled(&store.load_last().unwrap().unwrap()) - 2.0).abs() < f32::EPSILON);
    }

    /// Every state of the folder that a kill between two system calls of
    /// `save` can leave, rebuilt by hand: the former or the new checkpoint
    /// comes back, whole, and saving goes on.
    #[test]
    fn a_kill_at_any_point_leaves_one_whole_checkpoint() {
        let new = encode(&tensors(2.0), &json!({"epoch": 2})).unwrap();
        let point = |steps: usize, cut: usize| {
            let folder = tempfile::tempdir().unwrap();
            let store = CheckpointStore::open(folder.path()).unwrap();
            store
                .save(&tensors(1.0), &json!({"epoch": 1}), true)
                .unwrap();
            let at = |name: &str| folder.path().join(name);
            std::fs::write(at("next.safetensors.tmp"), &new[..cut]).unwrap();
            let finish = [
                ("next.safetensors.tmp", "next.safetensors", false),
                ("next.safetensors", "best.safetensors.tmp", true),
                ("best.safetensors.tmp", "best.safetensors", false),
                ("last.safetensors", "previous.safetensors.tmp", true),
                ("previous.safetensors.tmp", "previous.safetensors", false),
                ("next.safetensors", "last.safetensors", false),
            ];
            for (from, to, link) in &finish[..steps] {
                if *link {
                    std::fs::hard_link(at(from), at(to)).unwrap();
                } else {
                    std::fs::rename(at(from), at(to)).unwrap();
                }
            }
            (folder, store)
        };
        for steps in 0..=6 {
            let cuts = if steps == 0 {
                vec![0, 1, 7, 8, 100, new.len() - 1]
            } else {
                vec![new.len()]
            };
            for cut in cuts {
                let (_folder, store) = point(steps, cut);
                let epoch = if steps == 6 { 2 } else { 1 };
                let back = store.load_last().unwrap().unwrap();
                assert_eq!(back.state["epoch"], epoch, "after {steps} steps");
                assert!((filled(&back) - epoch as f32).abs() < f32::EPSILON);
                CheckpointStore::load(&store.best_path()).unwrap();
                store
                    .save(&tensors(3.0), &json!({"epoch": 3}), true)
                    .unwrap();
                assert_eq!(store.load_last().unwrap().unwrap().state["epoch"], 3);
            }
        }
    }

    /// Any single bit of the elements, and bits of names and shapes.
    #[test]
    fn a_flipped_bit_is_noticed() {
        let whole = encode(&tensors(0.5), &json!({"epoch": 3})).unwrap();
        decode(&whole).unwrap();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for at in header..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let e = decode(&flipped).unwrap_err();
                assert_eq!(e.code, ExitCode::Storage, "bit {bit} of byte {at}: {e}");
            }
        }
        for word in ["conv1.weight", "[2,3]", "F32", "\\\"epoch\\\":3"] {
            let at = whole.windows(word.len()).position(|w| w == word.as_bytes());
            let at = at.unwrap_or_else(|| panic!("no `{word}`"));
            let mut other = whole.clone();
            // `conv1` as `conv2`, `[2,3]` as `[3,3]`, and so on.
            let digit = (at..).find(|i| whole[*i].is_ascii_digit()).unwrap();
            other[digit] ^= 1;
            assert!(decode(&other).is_err(), "{word}");
        }
    }

    #[test]
    fn a_file_without_a_digest_is_read_as_it_is() {
        let values: Vec<u8> = 1.5_f32.to_le_bytes().to_vec();
        let view = TensorView::new(Dtype::F32, vec![1], &values).unwrap();
        let bytes = serialize([("w", view)], None).unwrap();
        assert!(decode(&bytes).unwrap().tensors.contains_key("w"));
    }

    #[test]
    fn a_damaged_last_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        store
            .save(&tensors(1.0), &json!({"epoch": 1}), false)
            .unwrap();
        store
            .save(&tensors(2.0), &json!({"epoch": 2}), false)
            .unwrap();
        let whole = std::fs::read(store.last_path()).unwrap();
        // Not in place: the link to `previous` must not see it.
        std::fs::remove_file(store.last_path()).unwrap();
        std::fs::write(store.last_path(), &whole[..whole.len() / 2]).unwrap();
        let before = store.load_last().unwrap().unwrap();
        assert_eq!(before.state["epoch"], 1);
        assert!(before.instead.unwrap().contains("last.safetensors"));
        std::fs::remove_file(folder.path().join("previous.safetensors")).unwrap();
        let e = store.load_last().unwrap_err();
        assert_eq!(e.code, ExitCode::Storage);
        assert!(e.text.contains("last.safetensors"), "{e}");
    }
}
