//! The name that somebody probably meant: slips of the keyboard, other spellings and the
//! abbreviations of the field.

/// Words that people use, and ours. Both sides are compared without case, `-`, `_` and spaces.
const SYNONYMS: &[(&str, &str)] = &[
    // Rules.
    ("bp", "backprop"),
    ("backpropagation", "backprop"),
    ("kp", "kolen-pollack"),
    ("wm", "weight-mirror"),
    ("weight-mirroring", "weight-mirror"),
    ("soft-hebb", "softhebb"),
    ("krotov-hopfield", "krotov"),
    // Networks.
    ("linear", "dense"),
    ("fc", "dense"),
    ("fully-connected", "dense"),
    ("conv2d", "conv"),
    ("convolution", "conv"),
    ("bn", "batch"),
    ("batch-norm", "batch"),
    ("batch-norm-2d", "batch"),
    ("max-pool", "max"),
    ("max-pool-2d", "max"),
    ("avg-pool", "avg"),
    ("avg-pool-2d", "avg"),
    ("average", "avg"),
    ("mean", "avg"),
    ("logistic", "sigmoid"),
    ("zero", "zeros"),
    ("zeros", "zero"),
    // Training.
    ("adamw", "adam"),
    ("momentum", "sgd"),
    ("ce", "cross-entropy"),
    ("xent", "cross-entropy"),
    ("l2", "mse"),
    ("multi-step", "steps"),
    ("multi-step-lr", "steps"),
    ("step", "steps"),
    ("step-lr", "steps"),
    ("cosine-annealing", "cosine"),
    ("cosine-annealing-lr", "cosine"),
    ("lambda", "formula"),
    ("lambda-lr", "formula"),
    ("expression", "formula"),
    ("exp", "exponential"),
    ("e2e", "end-to-end"),
    ("sup", "gradient"),
    ("supervised", "gradient"),
    ("unsup", "local"),
    ("unsupervised", "local"),
    ("random", "random-weights"),
    ("pixels", "linear-pixels"),
    // Numbers.
    ("float", "f32"),
    ("float32", "f32"),
    ("fp32", "f32"),
    ("double", "f64"),
    ("float64", "f64"),
    ("fp64", "f64"),
    ("bfloat16", "bf16"),
    ("gpu", "cuda"),
    // Data.
    ("fmnist", "fashion-mnist"),
    ("cifar", "cifar10"),
    ("standardize", "standard"),
    ("zscore", "standard"),
    // Keys.
    ("learning-rate", "lr"),
    ("batch-size", "batch"),
    ("bs", "batch"),
    ("num-epochs", "epochs"),
    ("n-epochs", "epochs"),
    ("optim", "optimizer"),
    ("optimiser", "optimizer"),
    ("scheduler", "schedule"),
    ("lr-scheduler", "schedule"),
    ("criterion", "loss"),
    ("nonlinearity", "activation"),
    ("units", "out"),
    ("out-channels", "out"),
    ("out-features", "out"),
    ("kernel-size", "kernel"),
    ("grad-clip", "gradient_clip"),
    ("wd", "weight_decay"),
    ("dataset", "data"),
    ("layers", "blocks"),
    ("augmentation", "augment"),
    ("normalise", "normalize"),
    ("folder", "root"),
    ("path", "root"),
];

/// The nearest of `names` to `word`, if it is near enough to be a slip, another spelling or an
/// abbreviation.
#[must_use]
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let names: Vec<&str> = names.into_iter().collect();
    let key = plain(word);
    if key.is_empty() {
        return None;
    }
    let find = |fits: &dyn Fn(&str) -> bool| names.iter().copied().find(|name| fits(name));
    let synonyms = |name: &str| {
        let same = |(a, b): &(&str, &str)| plain(a) == key && plain(b) == plain(name);
        SYNONYMS.iter().any(same)
    };
    // `dfa` for `direct-feedback-alignment/dfa`, and the family's name for its first rule.
    let last = |name: &str| {
        let parts = name.rsplit_once('/');
        parts.is_some_and(|(_, last)| plain(last) == key)
    };
    let family = |name: &str| {
        let parts = name.rsplit_once('/');
        parts.is_some_and(|(family, _)| plain(family) == key)
    };
    find(&|name| plain(name) == key)
        .or_else(|| find(&synonyms))
        .or_else(|| find(&last))
        .or_else(|| find(&family))
        .or_else(|| closest(word, &names))
}

/// By distance of spelling, without case.
fn closest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    names
        .iter()
        .map(|name| {
            let distance = strsim::damerau_levenshtein(&word, &name.to_lowercase());
            (distance, *name)
        })
        .filter(|(distance, name)| *distance <= 1 + word.len().max(name.len()) / 3)
        .min_by_key(|(distance, name)| (*distance, name.len()))
        .map(|(_, name)| name)
}

/// Without case and what separates words.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !"-_ .".contains(*c));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_abbreviations_and_slips_are_understood() {
        let rules = [
            "backprop",
            "direct-feedback-alignment/dfa",
            "direct-feedback-alignment/dkp",
            "feedback-alignment/fa",
            "feedback-alignment/usf",
            "hebbian/oja",
            "kolen-pollack",
            "softhebb",
            "weight-mirror",
        ];
        let words = [
            ("dfa", "direct-feedback-alignment/dfa"),
            ("DFA", "direct-feedback-alignment/dfa"),
            ("direct-feedback-alignment", "direct-feedback-alignment/dfa"),
            ("fa", "feedback-alignment/fa"),
            ("kp", "kolen-pollack"),
            ("KolenPollack", "kolen-pollack"),
            ("bp", "backprop"),
            ("Backpropagation", "backprop"),
            ("uSF", "feedback-alignment/usf"),
            ("SoftHebb", "softhebb"),
            ("softheb", "softhebb"),
            ("oja", "hebbian/oja"),
        ];
        for (word, name) in words {
            assert_eq!(nearest(word, rules), Some(name), "{word}");
        }
        let others = [
            ("CIFAR10", ["cifar10", "cifar100"], "cifar10"),
            ("cifar-100", ["cifar10", "cifar100"], "cifar100"),
            ("Adam", ["sgd", "adam"], "adam"),
            ("ReLU", ["triangle", "relu"], "relu"),
            ("CrossEntropy", ["mse", "cross-entropy"], "cross-entropy"),
            ("learning_rate", ["momentum", "lr"], "lr"),
        ];
        for (word, names, name) in others {
            assert_eq!(nearest(word, names), Some(name), "{word}");
        }
        assert_eq!(nearest("transformer", rules), None);
        assert_eq!(nearest("", rules), None);
    }
}
