//! Changes of shape and drop path, which hold no blocks.

use crate::config::section::Section;
use crate::config::settings::{DROP_PATH, TRANSFORM};
use crate::plan::{DropPathPlan, TransformPlan};
use crate::{Error, Result};

/// The change of shape of a block.
pub(super) fn read_transform(s: &mut Section) -> Result<Option<TransformPlan>> {
    let Some(table) = s.table("transform")? else {
        return Ok(None);
    };
    let mut t = Section::open(&s.at("transform"), table, TRANSFORM)?;
    let kind: String = t.choice("kind")?;
    let (own, other) = match kind.as_str() {
        "zero" => ("stride", "by"),
        _ => ("by", "stride"),
    };
    if t.has(other) {
        return Err(Error::usage(format!(
            "`{}` has no meaning for the kind `{kind}` (from {})",
            t.at(other),
            t.origin(other)
        )));
    }
    let n = t.whole(own)? as usize;
    s.show_table("transform", t.close());
    Ok(Some(match kind.as_str() {
        "zero" => TransformPlan::Zero { stride: n },
        _ => TransformPlan::Shift { by: n },
    }))
}

/// The drop path of an edge.
pub(super) fn read_drop_path(s: &mut Section) -> Result<Option<DropPathPlan>> {
    let Some(table) = s.table("drop_path")? else {
        return Ok(None);
    };
    let mut d = Section::open(&s.at("drop_path"), table, DROP_PATH)?;
    let plan = DropPathPlan {
        p: d.number("p")?,
        ramp: d.flag("ramp")?,
    };
    s.show_table("drop_path", d.close());
    Ok(Some(plan))
}
