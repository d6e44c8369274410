//! The written record of the boundary: every struct, field and op, in order.
//!
//! `plugin-api/abi.lock` holds the text of [`lock_text`]; a test regenerates it
//! and accepts added lines only.

use std::fmt::Write as _;

/// The whole boundary as text, one fact a line.
pub fn lock_text() -> String {
    use super::{ops, root, types};
    let structs = [
        types::RawFailure::DECL,
        types::RawNamed::DECL,
        types::RawLayer::DECL,
        types::RawCall::DECL,
        types::RawTile::DECL,
        types::RawCompeted::DECL,
        types::RawPair::DECL,
        types::RawArg::DECL,
        types::RawLaunch::DECL,
        root::RawParamValue::DECL,
        root::RawParamSpec::DECL,
        root::RawParam::DECL,
        root::RawRuleInfo::DECL,
        root::RawStateSpec::DECL,
        root::RawForwardArgs::DECL,
        root::RawLearnArgs::DECL,
        root::RawBackwardArgs::DECL,
        root::RawForward::DECL,
        root::RawGradients::DECL,
        root::RawMetric::DECL,
        root::InstanceVtable::DECL,
        root::RawInstance::DECL,
    ];
    let mut text =
        String::from("# Written by `cargo test -p biorule-plugin-api`; lines may only be added.\n");
    for decl in structs {
        for (i, (field, ty)) in decl.fields.iter().enumerate() {
            let _ = writeln!(text, "struct {}.{i:02} {field}: {}", decl.name, squeeze(ty));
        }
    }
    for (i, (field, ty)) in root::ROOT_FIELDS.iter().enumerate() {
        let _ = writeln!(text, "root {i:02} {field}: {}", squeeze(ty));
    }
    for (i, op) in ops::OPS.iter().enumerate() {
        let _ = writeln!(
            text,
            "op {i:03} {} since {} {}",
            op.name,
            op.since,
            squeeze(op.signature.as_str())
        );
    }
    text
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
