//! A source of rules that listens: what entered and left each layer on the way up
//! and on the way down, by block; and that can put golden magnitudes in the place
//! of those that a rule drew.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use biorule::Result;
use biorule::config::LayerPlan;
use biorule::nn::rule::{
    Activity, Change, Errors, Forwarded, LayerShape, Rule, RuleCall, RuleFacts, RuleGradients,
    RuleSource, StateTensor,
};
use candle_core::{DType, Device, Tensor};

/// What passed through a layer in the last pass; tensors on the CPU.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Input.
    pub x: Option<Tensor>,
    /// Output of the rule, before any activation.
    pub y: Option<Tensor>,
    /// Error at the output.
    pub grad_y: Option<Tensor>,
    /// Error handed to the input.
    pub grad_x: Option<Tensor>,
}

/// What the recorder holds.
#[derive(Default)]
pub struct Tape {
    /// By block.
    pub heard: BTreeMap<String, Heard>,
    /// Tensors to put in the place of what `forward` kept, by block and name.
    pub kept: BTreeMap<(String, String), Tensor>,
    /// The same, of what is drawn anew at each pass.
    pub drawn: Option<Drawn>,
    /// Which elements of a layer's input are 0 in training, as a hash, by block and number of the
    /// pass; kept where it is asked for.
    pub zeros: Option<Zeros>,
}

/// Hashes of where inputs are 0, by block and number of the pass.
pub type Zeros = BTreeMap<(String, u64), u64>;

/// A tensor by block, name and number of the pass, in the shape of that which it replaces.
pub type Drawn = Arc<dyn Fn(&str, &str, u64, &Tensor) -> Option<Tensor> + Send + Sync>;

/// A [`RuleSource`] around another one.
pub struct Recorder<'a> {
    inner: &'a dyn RuleSource,
    tape: Arc<Mutex<Tape>>,
}

impl<'a> Recorder<'a> {
    /// Listens to the rules of `inner`.
    pub fn new(inner: &'a dyn RuleSource) -> Self {
        Self {
            inner,
            tape: Arc::default(),
        }
    }
    /// The tape, shared with every layer.
    pub fn tape(&self) -> Arc<Mutex<Tape>> {
        self.tape.clone()
    }
}

/// The tape, whatever happened to the thread that last held it.
pub fn locked(tape: &Mutex<Tape>) -> MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(|poison| poison.into_inner())
}

impl RuleSource for Recorder<'_> {
    fn bind(&self, plan: &LayerPlan, layer: &LayerShape, dtype: DType) -> Result<Box<dyn Rule>> {
        Ok(Box::new(Listener {
            inner: self.inner.bind(plan, layer, dtype)?,
            block: layer.name.clone(),
            tape: self.tape.clone(),
        }))
    }
}

/// A hash of which elements of `x` are 0.
fn where_zero(x: &Tensor) -> Result<u64> {
    let values = x.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let mut hasher = DefaultHasher::new();
    let zeros: Vec<bool> = values.iter().map(|v| *v == 0.0).collect();
    zeros.hash(&mut hasher);
    Ok(hasher.finish())
}

struct Listener {
    inner: Box<dyn Rule>,
    block: String,
    tape: Arc<Mutex<Tape>>,
}

impl Rule for Listener {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn facts(&self) -> RuleFacts {
        self.inner.facts()
    }
    fn init(&self, seed: u64, device: &Device, dtype: DType) -> Result<Vec<StateTensor>> {
        self.inner.init(seed, device, dtype)
    }
    fn forward(&self, call: &RuleCall, state: &[StateTensor], x: &Tensor) -> Result<Forwarded> {
        let mut out = self.inner.forward(call, state, x)?;
        let mut tape = locked(&self.tape);
        for (name, kept) in &mut out.kept {
            if let Some(golden) = tape.kept.get(&(self.block.clone(), name.clone())) {
                *kept = golden.to_device(x.device())?;
            }
            let drawn = tape.drawn.as_ref();
            if let Some(drawn) = drawn.and_then(|d| d(&self.block, name, call.pass, kept)) {
                *kept = drawn;
            }
        }
        if let Some(zeros) = tape.zeros.as_mut().filter(|_| call.training) {
            let place = (self.block.clone(), call.pass);
            zeros.insert(place, where_zero(x)?);
        }
        let heard = Heard {
            x: Some(x.to_device(&Device::Cpu)?),
            y: Some(out.y.to_device(&Device::Cpu)?),
            ..Heard::default()
        };
        tape.heard.insert(self.block.clone(), heard);
        Ok(out)
    }
    fn learn(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        activity: &Activity<'_>,
    ) -> Result<Vec<Change>> {
        self.inner.learn(call, state, activity)
    }
    fn backward(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        errors: &Errors<'_>,
    ) -> Result<RuleGradients> {
        let out = self.inner.backward(call, state, errors)?;
        let mut tape = locked(&self.tape);
        let heard = tape.heard.entry(self.block.clone()).or_default();
        heard.grad_y = Some(errors.grad_y.to_device(&Device::Cpu)?);
        let below = out.grad_x.as_ref().map(|g| g.to_device(&Device::Cpu));
        heard.grad_x = below.transpose()?;
        Ok(out)
    }
    fn metrics(&self, call: &RuleCall, state: &[StateTensor]) -> Result<Vec<(String, f64)>> {
        self.inner.metrics(call, state)
    }
    fn input_gradient(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        errors: &Errors<'_>,
    ) -> Result<Option<Tensor>> {
        self.inner.input_gradient(call, state, errors)
    }
}
