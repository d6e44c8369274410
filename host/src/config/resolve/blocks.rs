//! The network of a plan: blocks, their layers, rules, norms and pools.

use config::Value;

use crate::config::check;
use crate::config::context::{Credit, PlanContext, RuleSchema};
use crate::config::numbers;
use crate::config::section::{Section, join};
use crate::config::settings::{BLOCK, EDGE, NODE, POOL, RESIDUAL, SIDE};
use crate::config::shown::Shown;
use crate::config::value::{self, DEFAULT, Table};
use crate::plan::define::Field;
use crate::plan::{
    BlockPlan, EdgePlan, GraphPlan, LayerPlan, MapPlan, NodePlan, ParamValue, PoolPlan,
    ResidualPlan, SidePlan, TransformPlan,
};
use crate::{Error, Result};

/// Settings that only a convolution has.
const CONV_ONLY: &[&str] = &[
    "kernel",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
];
/// Settings that only a block with a layer has.
const LAYER_ONLY: &[&str] = &["out", "bias", "rule"];

/// Reads `blocks` of `top`, which is the whole configuration or a residual block.
pub(super) fn blocks(top: &mut Section, context: &dyn PlanContext) -> Result<Vec<BlockPlan>> {
    let mut plans = Vec::new();
    let mut shown = Vec::new();
    let list = top.at("blocks");
    for (i, table) in top.tables("blocks")?.into_iter().enumerate() {
        let name = table.get("name").and_then(value::text).map(str::to_owned);
        let path = join(&list, &name.unwrap_or_else(|| i.to_string()));
        let (plan, one) = block(&path, table, context)?;
        plans.push(plan);
        shown.push(one);
    }
    top.show_tables("blocks", shown);
    Ok(plans)
}

type ShownTable = Vec<(String, Shown)>;

fn block(path: &str, table: Table, context: &dyn PlanContext) -> Result<(BlockPlan, ShownTable)> {
    let mut s = Section::open(path, table, BLOCK)?;
    let name = s.text("name")?;
    check_name(&s, &name)?;
    let layer: Option<String> = s.opt_choice("layer")?;
    refuse_without(&s, path, layer.as_deref())?;
    let layer = layer
        .map(|kind| read_layer(&mut s, &kind, context))
        .transpose()?;
    let dense = matches!(&layer, Some(l) if l.map == MapPlan::Dense);
    let flatten = optional_flag(&mut s, "flatten", dense)?;
    let divide_by_max = s.flag("divide_by_max")?;
    let unit_length = s.flag("unit_length")?;
    let dropout = s.number("dropout")?;
    let norm = Field::read(&mut s, "norm")?;
    let norm_inner = Field::read(&mut s, "norm_inner")?;
    let activation = Field::read(&mut s, "activation")?;
    let norm_after = Field::read(&mut s, "norm_after")?;
    let pool = read_pool(&mut s)?;
    let residual = read_residual(&mut s, context)?;
    let graph = read_graph(&mut s, context)?;
    let transform: Option<TransformPlan> = Field::read(&mut s, "transform")?;
    let side = read_side(&mut s, context)?;
    // Shown only where it is set: it changes no result.
    let recompute = s.opt_flag("recompute")?.unwrap_or(false);
    let insides = [
        ("layer", layer.is_some()),
        ("residual", residual.is_some()),
        ("graph", graph.is_some()),
        ("transform", transform.is_some()),
    ];
    if let [(a, _), (b, _), ..] = insides.iter().filter(|(_, is)| *is).collect::<Vec<_>>()[..] {
        return Err(Error::usage(format!("`{path}` has both `{a}` and `{b}`"))
            .hint("a block holds one of them; put a layer into `residual.blocks` or on an edge"));
    }
    let plan = BlockPlan {
        name,
        norm,
        flatten,
        divide_by_max,
        unit_length,
        dropout,
        layer,
        activation,
        norm_after,
        norm_inner,
        pool,
        residual,
        graph,
        transform,
        side,
        recompute,
    };
    Ok((plan, s.close()))
}

/// Names are parts of the names of tensors, and of paths to settings.
fn check_name(s: &Section, name: &str) -> Result<()> {
    if !name.is_empty() && !name.contains(['.', '/']) && name.parse::<usize>().is_err() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{name}` cannot be a name (from {})",
        s.origin("name")
    ))
    .hint("use a word without `.` and `/` that is not a number"))
}

/// A switch whose default depends on other settings.
fn optional_flag(s: &mut Section, key: &str, default: bool) -> Result<bool> {
    if let Some(flag) = s.opt_flag(key)? {
        return Ok(flag);
    }
    s.show(key, toml::Value::Boolean(default), DEFAULT.to_owned());
    Ok(default)
}

fn refuse_without(s: &Section, path: &str, layer: Option<&str>) -> Result<()> {
    let refuse = |keys: &[&str], why: &str| match keys.iter().find(|k| s.has(k)) {
        Some(key) => Err(Error::usage(format!(
            "`{path}.{key}` has no meaning {why} (from {})",
            s.origin(key)
        ))),
        None => Ok(()),
    };
    match layer {
        Some("dense") => refuse(CONV_ONLY, "for a dense layer"),
        Some(_) => Ok(()),
        None => refuse(CONV_ONLY, "in a block without a layer")
            .and_then(|()| refuse(LAYER_ONLY, "in a block without a layer"))
            .map_err(|e| e.hint("set `layer = \"conv\"` or `layer = \"dense\"`")),
    }
}

fn read_layer(s: &mut Section, kind: &str, context: &dyn PlanContext) -> Result<LayerPlan> {
    let path = s.at("");
    let path = path.trim_end_matches('.');
    let out = out(s)?;
    let (rule, params, schema) = rule(s, context)?;
    let map = if kind == "dense" {
        MapPlan::Dense
    } else {
        conv(s)?
    };
    check::layer_kind(path, &map, &schema)?;
    let error_driven = schema.credit != Credit::Local;
    let bias = optional_flag(s, "bias", error_driven && map == MapPlan::Dense)?;
    Ok(LayerPlan {
        map,
        out,
        bias,
        rule,
        params,
    })
}

/// Output units; `"classes"` is 0.
fn out(s: &mut Section) -> Result<usize> {
    let missing = s.missing("out");
    match s.take("out")? {
        None => Err(missing),
        Some(v) if value::text(&v) == Some("classes") => {
            s.show(
                "out",
                toml::Value::String("classes".into()),
                value::origin(&v),
            );
            Ok(0)
        }
        Some(v) => match numbers::whole(&v).and_then(|n| usize::try_from(n).ok()) {
            Some(0) => {
                s.show(
                    "out",
                    toml::Value::String("classes".into()),
                    value::origin(&v),
                );
                Ok(0)
            }
            Some(n) => {
                s.show("out", toml::Value::Integer(n as i64), value::origin(&v));
                Ok(n)
            }
            None => {
                let e = Error::usage(format!(
                    "`{}` is {}, expected a whole number or \"classes\" (from {})",
                    s.at("out"),
                    value::describe(&v),
                    value::origin(&v)
                ));
                let near = value::text(&v).and_then(|word| value::nearest(word, ["classes"]));
                Err(match near {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e,
                })
            }
        },
    }
}

fn conv(s: &mut Section) -> Result<MapPlan> {
    let kernel = s.pair("kernel")?;
    let stride = s.pair("stride")?;
    let dilation = s.pair("dilation")?;
    let reach = |axis: usize| {
        // Half of it is a padding, and two of those are added to a size.
        let reach = dilation[axis].checked_mul(kernel[axis] - 1);
        reach.filter(|n| *n <= i64::MAX as usize).ok_or_else(|| {
            Error::usage(format!(
                "`{}` spans more pixels than can be counted: {} elements, {} apart",
                s.at("kernel"),
                kernel[axis],
                dilation[axis]
            ))
            .hint("lower `kernel` or `dilation`")
        })
    };
    let (rows, columns) = (reach(0)?, reach(1)?);
    let same = [
        rows / 2,
        rows - rows / 2,
        columns / 2,
        columns - columns / 2,
    ];
    let padding = s.sides("padding", same)?;
    let groups = s.whole("groups")? as usize;
    let mode: String = s.choice("padding_mode")?;
    let unknown = |()| Error::internal(format!("`{mode}` is not a padding mode"));
    let padding_mode = mode.parse().map_err(unknown)?;
    Ok(MapPlan::Conv {
        kernel,
        stride,
        padding,
        dilation,
        groups,
        padding_mode,
    })
}

pub(super) type Params = std::collections::BTreeMap<String, ParamValue>;

fn rule(s: &mut Section, context: &dyn PlanContext) -> Result<(String, Params, RuleSchema)> {
    let missing = s.missing("rule");
    let path = s.at("rule");
    let mut table = s.table("rule")?.ok_or(missing)?;
    let from = first_origin(&table);
    let Some(name) = table.remove("name") else {
        return Err(
            Error::usage(format!("`{path}.name` is missing (from {from})"))
                .hint("name a rule (`biorule rules list`)"),
        );
    };
    let from = value::origin(&name);
    let Some(rule) = value::text(&name).map(str::to_owned) else {
        return Err(Error::usage(format!(
            "`{path}.name` is {}, expected text (from {from})",
            value::describe(&name)
        )));
    };
    let schema = context
        .rule(&rule)
        .map_err(|e| e.within(format!("`{path}` (from {from})")))?;
    let mut shown = vec![(
        "name".to_owned(),
        Shown::Leaf(toml::Value::String(rule.clone()), from),
    )];
    let (params, own) = hyperparameters(&path, table, &schema)?;
    shown.extend(own);
    s.show_table("rule", shown);
    Ok((rule, params, schema))
}

/// The hyperparameters in `table`, which stands at `path`, of the rule with this schema, and how
/// they are shown.
pub(super) fn hyperparameters(
    path: &str,
    table: Table,
    schema: &RuleSchema,
) -> Result<(Params, Vec<(String, Shown)>)> {
    let (mut params, mut shown) = (Params::new(), Vec::new());
    let mut entries: Vec<(String, Value)> = table.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, v) in entries {
        let param = check::param(path, &key, &v, schema)?;
        shown.push((
            key.clone(),
            Shown::Leaf(check::param_toml(&param), value::origin(&v)),
        ));
        params.insert(key, param);
    }
    Ok((params, shown))
}

fn read_pool(s: &mut Section) -> Result<Option<PoolPlan>> {
    let Some(table) = s.table("pool")? else {
        return Ok(None);
    };
    let mut p = Section::open(&s.at("pool"), table, POOL)?;
    let kind = p.choice("kind")?;
    let kernel = p.pair("kernel")?;
    let stride = match p.opt_pair("stride")? {
        Some(stride) => stride,
        None => {
            let stride = kernel.map(|k| k.max(1));
            let shown = stride.iter().map(|n| toml::Value::Integer(*n as i64));
            p.show(
                "stride",
                toml::Value::Array(shown.collect()),
                DEFAULT.to_owned(),
            );
            stride
        }
    };
    let padding = p.pair("padding")?;
    let count_include_pad = p.flag("count_include_pad")?;
    s.show_table("pool", p.close());
    Ok(Some(PoolPlan {
        kind,
        kernel,
        stride,
        padding,
        count_include_pad,
    }))
}

fn read_side(s: &mut Section, context: &dyn PlanContext) -> Result<Option<SidePlan>> {
    let path = s.at("side");
    let Some(table) = s.table("side")? else {
        return Ok(None);
    };
    let mut r = Section::open(&path, table, SIDE)?;
    let weight = r.number("weight")?;
    let blocks = blocks(&mut r, context)?;
    if blocks.is_empty() {
        return Err(Error::usage(format!("`{path}.blocks` is empty"))
            .hint("end the head in a dense layer with `out = \"classes\"`"));
    }
    s.show_table("side", r.close());
    Ok(Some(SidePlan { weight, blocks }))
}

fn read_residual(s: &mut Section, context: &dyn PlanContext) -> Result<Option<ResidualPlan>> {
    let path = s.at("residual");
    let Some(table) = s.table("residual")? else {
        return Ok(None);
    };
    let mut r = Section::open(&path, table, RESIDUAL)?;
    let shortcut = r.choice("shortcut")?;
    let blocks = blocks(&mut r, context)?;
    if blocks.is_empty() {
        return Err(Error::usage(format!("`{path}.blocks` is empty")));
    }
    s.show_table("residual", r.close());
    Ok(Some(ResidualPlan { blocks, shortcut }))
}

fn read_graph(s: &mut Section, context: &dyn PlanContext) -> Result<Option<GraphPlan>> {
    if !s.has("graph") {
        return Ok(None);
    }
    let list = s.at("graph");
    let (mut nodes, mut shown) = (Vec::new(), Vec::new());
    for (i, table) in s.tables("graph")?.into_iter().enumerate() {
        let name = table.get("name").and_then(value::text).map(str::to_owned);
        let path = join(&list, &name.unwrap_or_else(|| i.to_string()));
        let mut n = Section::open(&path, table, NODE)?;
        let name = n.text("name")?;
        check_name(&n, &name)?;
        let join = n.choice("join")?;
        let from = read_edges(&mut n, context)?;
        nodes.push(NodePlan { name, join, from });
        shown.push(n.close());
    }
    s.show_tables("graph", shown);
    Ok(Some(GraphPlan { nodes }))
}

fn read_edges(n: &mut Section, context: &dyn PlanContext) -> Result<Vec<EdgePlan>> {
    let list = n.at("from");
    let (mut edges, mut shown) = (Vec::new(), Vec::new());
    for (i, table) in n.tables("from")?.into_iter().enumerate() {
        let mut e = Section::open(&join(&list, &i.to_string()), table, EDGE)?;
        let source = e.text("source")?;
        let blocks = blocks(&mut e, context)?;
        let drop_path = Field::read(&mut e, "drop_path")?;
        edges.push(EdgePlan {
            drop_path,
            ..EdgePlan::new(source, blocks)
        });
        shown.push(e.close());
    }
    n.show_tables("from", shown);
    Ok(edges)
}

/// Where the first value of `table` was set.
fn first_origin(table: &Table) -> String {
    let mut origins: Vec<String> = table.values().map(value::origin).collect();
    origins.sort();
    origins
        .into_iter()
        .next()
        .unwrap_or_else(|| value::DEFAULT.to_owned())
}
