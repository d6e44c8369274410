//! What tensors of a network are called in files of other programs.
//!
//! PyTorch's networks have `conv1.weight`, `bn1.running_mean` and `layer1.0.downsample.1.bias` where ours
//! have blocks `conv1`, with the norm inside, and `layer1-0-downsample`; BioTorch keeps the feedback weight
//! as `weight_backward`. SoftHebb numbers its blocks, `blocks.0.layer.weight`, and its operations.

/// Whose names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// This program's.
    Own,
    /// Those of PyTorch modules, as torchvision and BioTorch have them.
    Pytorch,
    /// SoftHebb's.
    Softhebb,
}

/// What `name` is called in a file of `names`, where the network's blocks are `blocks` in order; `None`
/// for what such a file does not hold.
#[must_use]
pub fn foreign(name: &str, names: Names, blocks: &[&str]) -> Option<String> {
    match names {
        Names::Own => Some(name.to_owned()),
        Names::Pytorch => pytorch(name),
        Names::Softhebb => softhebb(name, blocks),
    }
}

/// Innermost block, what of it, and the last part: `layer1-0-conv1`, `norm_inner`, `weight`.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.strip_prefix("blocks.")?.rsplitn(3, '.');
    let (last, what) = (parts.next()?, parts.next()?);
    let block = parts.next()?.rsplit('.').next()?;
    Some((block, what, last))
}

fn pytorch(name: &str) -> Option<String> {
    let (block, what, last) = parts(name)?;
    let path = block.replace('-', ".");
    match (what, last) {
        ("layer", "feedback") => Some(format!("{path}.weight_backward")),
        ("layer", last) if path.ends_with("downsample") => Some(format!("{path}.0.{last}")),
        ("layer", last) => Some(format!("{path}.{last}")),
        ("norm_inner", last) if path.ends_with("downsample") => Some(format!("{path}.1.{last}")),
        ("norm_inner", last) => {
            let (outer, own) = path
                .rsplit_once('.')
                .map_or(("", path.as_str()), |(o, own)| (o, own));
            let own = own.replacen("conv", "bn", 1);
            let dot = if outer.is_empty() { "" } else { "." };
            Some(format!("{outer}{dot}{own}.{last}"))
        }
        _ => None,
    }
}

fn softhebb(name: &str, blocks: &[&str]) -> Option<String> {
    let (block, what, last) = parts(name)?;
    let at = blocks.iter().position(|own| *own == block)?;
    match (what, last) {
        ("layer", "weight" | "bias") => Some(format!("blocks.{at}.layer.{last}")),
        ("norm", last) => Some(format!("blocks.{at}.operations.0.{last}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_the_names_of_other_programs() {
        let blocks = ["conv1", "layer1-0", "classifier"];
        for (name, torch, hebb) in [
            (
                "blocks.conv1.layer.weight",
                Some("conv1.weight"),
                Some("blocks.0.layer.weight"),
            ),
            (
                "blocks.conv1.norm.running_mean",
                None,
                Some("blocks.0.operations.0.running_mean"),
            ),
            ("blocks.conv1.norm_inner.bias", Some("bn1.bias"), None),
            (
                "blocks.classifier.layer.bias",
                Some("classifier.bias"),
                Some("blocks.2.layer.bias"),
            ),
            (
                "blocks.classifier.layer.feedback",
                Some("classifier.weight_backward"),
                None,
            ),
            (
                "blocks.layer1-0.inner.layer1-0-conv2.layer.weight",
                Some("layer1.0.conv2.weight"),
                None,
            ),
            (
                "blocks.layer1-0.inner.layer1-0-conv2.norm_inner.weight",
                Some("layer1.0.bn2.weight"),
                None,
            ),
            (
                "blocks.layer2-0.sum.1.layer2-0-downsample.layer.weight",
                Some("layer2.0.downsample.0.weight"),
                None,
            ),
            (
                "blocks.layer2-0.sum.1.layer2-0-downsample.norm_inner.running_var",
                Some("layer2.0.downsample.1.running_var"),
                None,
            ),
            ("optimizer.x", None, None),
        ] {
            assert_eq!(
                foreign(name, Names::Pytorch, &blocks).as_deref(),
                torch,
                "{name}"
            );
            assert_eq!(
                foreign(name, Names::Softhebb, &blocks).as_deref(),
                hebb,
                "{name}"
            );
            assert_eq!(foreign(name, Names::Own, &blocks).as_deref(), Some(name));
        }
    }
}
