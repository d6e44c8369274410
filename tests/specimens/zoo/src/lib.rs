//! Rules that break their contract or lie about themselves, one defect each. All learn as Oja's rule
//! does but for it; `zoo/good` has none.

use std::sync::atomic::{AtomicU64, Ordering};

use biorule_plugin_api::prelude::*;

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// A state tensor is declared twice.
    Twice,
    /// Five terabytes of state.
    Huge,
    /// An initialiser with a negative deviation.
    Negative,
    /// A name that no checkpoint can hold.
    Name,
    /// `metrics` panics.
    MetricsPanic,
    /// `metrics` gives NaN.
    MetricsNan,
    /// `learn` changes what the optimiser owns.
    Owner,
    /// Tensors are kept.
    Leak,
    /// The process is ended as if all were well.
    Exit,
    /// The process is aborted.
    Abort,
    /// A call never ends.
    Hang,
    /// State is hidden in the library.
    Hidden,
    /// The labels are used in spite of the claim.
    Taught,
    /// The learning rate of the schedule is ignored.
    Rate,
    /// The gradient is not that of `forward`.
    Gradient,
    /// Convolutions with a stride panic.
    Stride,
    /// A batch of one sample gives NaN.
    One,
    /// NaN in the input is a panic.
    Input,
    /// Some hyperparameters are a panic.
    Config,
    /// Memory grows with every step.
    Memory,
    /// f32 and f64 compute different things.
    Types,
    /// The default is outside of the range.
    Default,
}

use Defect::*;

fn state(layer: &LayerSpec, defect: Defect) -> Vec<StateSpec> {
    let std = match defect {
        Negative => -1.0,
        _ => 1.0 / (layer.fan_in() as f64).sqrt(),
    };
    let (name, role) = match defect {
        Name => ("the ta/.x", Role::Plastic),
        Owner => ("weight", Role::Weight),
        _ => ("weight", Role::Plastic),
    };
    let normal = Init::Normal { mean: 0.0, std };
    let mut all = vec![StateSpec::new(name, layer.weight_shape(), normal, role)];
    match defect {
        Twice => all.push(all[0].clone()),
        Huge => all.push(StateSpec::new(
            "trace",
            [625, 1_000_000_000],
            normal,
            Role::Plastic,
        )),
        _ => {}
    }
    all
}

fn forward(cx: &Context, s: &State, x: &Tensor, defect: Defect) -> Result<Forward> {
    let y = cx.layer().forward(x, &*s.get("weight")?)?;
    if defect == Leak {
        std::mem::forget(y.clone());
    }
    if defect == Stride && cx.layer().stride() != [1, 1] {
        panic!("no stride was thought of");
    }
    if defect == Input && y.to_vec()?.iter().any(|v| v.is_nan()) {
        panic!("a NaN was not thought of");
    }
    Ok(Forward::new(y))
}

static HIDDEN: AtomicU64 = AtomicU64::new(0);
static KEPT: std::sync::Mutex<Vec<Vec<f64>>> = std::sync::Mutex::new(Vec::new());

fn learn(
    cx: &Context,
    s: &State,
    a: &Activity,
    lr: f64,
    size: i64,
    defect: Defect,
) -> Result<Changes> {
    let (layer, w) = (cx.layer(), s.get("weight")?);
    match defect {
        Exit => std::process::exit(0),
        Abort => std::process::abort(),
        Hang => loop {
            std::thread::sleep(std::time::Duration::from_millis(20));
        },
        Config if size > 40 => panic!("so large a size was not thought of"),
        Memory => KEPT.lock().expect("one thread").push(vec![1.0; 4096]),
        _ => {}
    }
    let n = (a.y.elem_count()? / layer.units()) as f64;
    let hebb = layer.correlate(&a.x, &a.y)?;
    let decay = w.mul_rows(&layer.sum_bias(&a.y.sqr()?)?)?;
    let mut change = hebb.sub(&decay)?;
    let mut rate = if defect == Rate { lr } else { cx.rate_or(lr) };
    match defect {
        Hidden => rate *= 1.0 + HIDDEN.fetch_add(1, Ordering::Relaxed) as f64,
        One if a.x.batch()? == 1 => rate = f64::NAN,
        Types if change.dtype()? == DType::F64 => rate *= 1.5,
        _ => {}
    }
    if let (Taught, Some(target)) = (defect, &a.target) {
        let numbers = target.to_vec()?;
        let told: f64 = numbers.iter().zip(1..).map(|(v, i)| v * f64::from(i)).sum();
        change = change.affine(1.0, told)?;
    }
    Ok(Changes::new().add("weight", change.scale(rate / n)?))
}

macro_rules! animals {
    ($( $name:ident $rule:literal $defect:ident $default:literal; )*) => {
        $(
            hyperparameters! {
                /// A rule of the zoo.
                pub struct $name {
                    /// learning rate where the phase sets none
                    lr: f64 = 0.01, range 0.0 => 1.0, source "Oja 1982";
                    /// a size that nothing but one defect reads
                    size: i64 = $default, range 0 => 50, source "the tests";
                }
            }
            impl LearningRule for $name {
                fn info() -> RuleInfo {
                    let claims = Claims::LOCAL | Claims::UNSUPERVISED | Claims::DETERMINISTIC;
                    let info = RuleInfo::new($rule, Credit::Local)
                        .summary("Oja's rule with a defect")
                        .claims(claims);
                    match $defect {
                        Taught => info.uses_target(),
                        _ => info,
                    }
                }
                fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
                    Ok(state(layer, $defect))
                }
                fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
                    forward(cx, s, x, $defect)
                }
                fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
                    learn(cx, s, a, self.lr, self.size, $defect)
                }
                fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
                    let grad = cx.layer().feedback(&e.grad_y, &*s.get("weight")?)?;
                    grad.scale(if $defect == Gradient { 2.0 } else { 1.0 })
                }
                fn metrics(&self, _: &Context, _: &State) -> Result<Vec<Metric>> {
                    assert!($defect != MetricsPanic, "no metrics were thought of");
                    Ok(match $defect {
                        MetricsNan => vec![Metric::new("size", f64::NAN)],
                        _ => Vec::new(),
                    })
                }
            }
        )*
        export_rules!($($name),*);
    };
}

animals! {
    Good "zoo/good" None 2;
    TwiceRule "zoo/twice" Twice 2;
    HugeRule "zoo/huge" Huge 2;
    NegativeRule "zoo/negative" Negative 2;
    NameRule "zoo/name" Name 2;
    MetricsPanicRule "zoo/metrics-panic" MetricsPanic 2;
    MetricsNanRule "zoo/metrics-nan" MetricsNan 2;
    OwnerRule "zoo/owner" Owner 2;
    LeakRule "zoo/leak" Leak 2;
    ExitRule "zoo/exit" Exit 2;
    AbortRule "zoo/abort" Abort 2;
    HangRule "zoo/hang" Hang 2;
    HiddenRule "zoo/hidden" Hidden 2;
    TaughtRule "zoo/taught" Taught 2;
    RateRule "zoo/rate" Rate 2;
    GradientRule "zoo/gradient" Gradient 2;
    StrideRule "zoo/stride" Stride 2;
    OneRule "zoo/one" One 2;
    InputRule "zoo/input" Input 2;
    ConfigRule "zoo/config" Config 2;
    MemoryRule "zoo/memory" Memory 2;
    TypesRule "zoo/types" Types 2;
    DefaultRule "zoo/default" Default 99;
}
