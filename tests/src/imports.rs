//! Reads which file of a crate uses which other, from its source: `use` declarations, paths in
//! code and in macros. The architecture page promises directions, and a test holds it to them.
//!
//! Names are followed through re-exports to the file that defines them, so that a module which
//! only hands on names is no dependency. Code under `#[cfg(test)]` does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

use crate::Result;

/// A module path below the crate, such as `["nn", "layer"]`.
type ModulePath = Vec<String>;

/// Files of one crate and their dependencies.
#[derive(Debug)]
pub struct Imports {
    files: BTreeMap<ModulePath, Module>,
    /// From file to file, both as module paths.
    edges: BTreeSet<(ModulePath, ModulePath)>,
}

#[derive(Debug)]
struct Module {
    lines: usize,
    /// Names that the file defines.
    defines: BTreeSet<String>,
    /// `pub use` by the name it gives; `*` for globs.
    hands_on: Vec<(String, Vec<String>)>,
    /// Every path in the file, as written.
    uses: Vec<Vec<String>>,
}

impl Imports {
    /// Reads the crate whose `src` folder is `source`.
    ///
    /// # Errors
    /// Files that cannot be read or are not Rust.
    pub fn read(source: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let root = ["lib.rs", "main.rs"].map(|name| source.join(name));
        let root = root.iter().find(|path| path.exists()).ok_or("no crate")?;
        read_module(root, source, Vec::new(), &mut files)?;
        let mut imports = Self {
            files,
            edges: BTreeSet::new(),
        };
        let mut edges = BTreeSet::new();
        for (path, module) in &imports.files {
            for used in &module.uses {
                if let Some(target) = imports.resolve(path, used, 0)
                    && target != *path
                {
                    edges.insert((path.clone(), target));
                }
            }
        }
        imports.edges = edges;
        Ok(imports)
    }

    /// The file in which `used`, written in module `from`, is defined.
    fn resolve(&self, from: &[String], used: &[String], depth: usize) -> Option<ModulePath> {
        let mut at = from.to_vec();
        let mut rest = used;
        match rest.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|s| s == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            name => {
                at.push(name.to_owned());
                let is_child = self.files.contains_key(&at);
                at.pop();
                if !is_child {
                    return None;
                }
            }
        }
        while let Some(name) = rest.first() {
            at.push(name.clone());
            if !self.files.contains_key(&at) {
                at.pop();
                break;
            }
            rest = &rest[1..];
        }
        let module = self.files.get(&at)?;
        let Some(name) = rest.first() else {
            return Some(at);
        };
        if module.defines.contains(name) || depth > 8 {
            return Some(at);
        }
        let named = module.hands_on.iter().filter(|(given, _)| given == name);
        let globs = module.hands_on.iter().filter(|(given, _)| given == "*");
        for (given, path) in named.chain(globs) {
            let mut path = path.clone();
            if given == "*" {
                path.push(name.clone());
            }
            path.extend(rest[1..].iter().cloned());
            if let Some(found) = self.resolve(&at, &path, depth + 1)
                && (given != "*" || self.files[&found].defines.contains(name))
            {
                return Some(found);
            }
        }
        Some(at)
    }

    /// Groups of files that use each other in a loop.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let paths: Vec<&ModulePath> = self.files.keys().collect();
        let index: BTreeMap<&ModulePath, usize> =
            paths.iter().enumerate().map(|(i, p)| (*p, i)).collect();
        let graph: DiGraphMap<usize, ()> = self
            .edges
            .iter()
            .map(|(a, b)| (index[a], index[b], ()))
            .collect();
        let circles = tarjan_scc(&graph).into_iter().filter(|c| c.len() > 1);
        let mut named: Vec<Vec<String>> = circles
            .map(|c| c.into_iter().map(|i| paths[i].join("::")).collect())
            .collect();
        named.iter_mut().for_each(|c| c.sort());
        named.sort();
        named
    }

    /// Dependencies between rooms, the modules directly below the crate, each with the pairs of
    /// files that make it.
    pub fn rooms(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut rooms: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (from, to) in &self.edges {
            let (Some(a), Some(b)) = (from.first(), to.first()) else {
                continue;
            };
            if a != b {
                let pair = format!("{} -> {}", from.join("::"), to.join("::"));
                rooms.entry((a.clone(), b.clone())).or_default().push(pair);
            }
        }
        rooms
    }

    /// The dependencies from file to file inside `circle`.
    pub fn within(&self, circle: &[String]) -> Vec<String> {
        let inside = |p: &ModulePath| circle.contains(&p.join("::"));
        let edges = self.edges.iter().filter(|(a, b)| inside(a) && inside(b));
        edges
            .map(|(a, b)| format!("{} -> {}", a.join("::"), b.join("::")))
            .collect()
    }

    /// Names of the rooms and the lines in each.
    pub fn sizes(&self) -> BTreeMap<String, usize> {
        let mut sizes = BTreeMap::new();
        for (path, module) in &self.files {
            if let Some(room) = path.first() {
                *sizes.entry(room.clone()).or_default() += module.lines;
            }
        }
        sizes
    }
}

fn read_module(
    file: &Path,
    folder: &Path,
    path: ModulePath,
    files: &mut BTreeMap<ModulePath, Module>,
) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let syntax = syn::parse_file(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut reader = Reader::default();
    reader.visit_file(&syntax);
    for (name, given) in reader.children {
        let (child, inside) = match given {
            Some(given) => (file.with_file_name(given), folder.join(&name)),
            None => child_file(folder, &name),
        };
        let mut path = path.clone();
        path.push(name);
        read_module(&child, &inside, path, files)?;
    }
    let module = Module {
        lines: text.lines().count(),
        defines: reader.defines,
        hands_on: reader.hands_on,
        uses: reader.uses,
    };
    files.insert(path, module);
    Ok(())
}

/// The file of child module `name`, and the folder of its own children.
fn child_file(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let inside = folder.join(name);
    let flat = folder.join(format!("{name}.rs"));
    match flat.exists() {
        true => (flat, inside),
        false => (inside.join("mod.rs"), inside),
    }
}

#[derive(Default)]
struct Reader {
    /// Child modules in files of their own, with the file that `#[path]` names.
    children: Vec<(String, Option<String>)>,
    defines: BTreeSet<String>,
    hands_on: Vec<(String, Vec<String>)>,
    uses: Vec<Vec<String>>,
    depth: usize,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| {
        let text = quote::ToTokens::to_token_stream(a).to_string();
        text.replace(' ', "").contains("cfg(test)") || text == "# [test]"
    })
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let path = attributes.iter().find(|a| a.path().is_ident("path"))?;
    let text = quote::ToTokens::to_token_stream(path).to_string();
    Some(text.split('"').nth(1)?.to_owned())
}

impl Reader {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(group.stream());
                }
                _ => self.end(&mut path),
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.uses.push(path);
        }
    }

    fn imported(&mut self, prefix: &[String], tree: &UseTree, public: bool) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(p) => self.imported(&with(p.ident.to_string()), &p.tree, public),
            UseTree::Group(g) => {
                for tree in &g.items {
                    self.imported(prefix, tree, public);
                }
            }
            UseTree::Name(n) if n.ident == "self" => self.name(prefix.to_vec(), None, public),
            UseTree::Name(n) => self.name(with(n.ident.to_string()), None, public),
            UseTree::Rename(r) => {
                self.name(
                    with(r.ident.to_string()),
                    Some(r.rename.to_string()),
                    public,
                );
            }
            UseTree::Glob(_) if public => self.hands_on.push(("*".into(), prefix.to_vec())),
            UseTree::Glob(_) => self.uses.push(prefix.to_vec()),
        }
    }

    fn name(&mut self, path: Vec<String>, given: Option<String>, public: bool) {
        match (public, given.or_else(|| path.last().cloned())) {
            (true, Some(name)) => self.hands_on.push((name, path)),
            _ => self.uses.push(path),
        }
    }
}

/// The name and attributes of an item.
fn named(item: &Item) -> (Option<String>, &[Attribute]) {
    match item {
        Item::Const(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Enum(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Fn(i) => (Some(i.sig.ident.to_string()), &i.attrs),
        Item::Macro(i) => (i.ident.as_ref().map(ToString::to_string), &i.attrs),
        Item::Mod(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Static(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Struct(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Trait(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Type(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Union(i) => (Some(i.ident.to_string()), &i.attrs),
        Item::Impl(i) => (None, &i.attrs),
        Item::Use(i) => (None, &i.attrs),
        _ => (None, &[]),
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let (name, attributes) = named(item);
        if is_test(attributes) {
            return;
        }
        if self.depth == 0 {
            match (item, name) {
                (Item::Mod(m), Some(name)) if m.content.is_none() => {
                    self.children.push((name, path_attribute(attributes)));
                }
                (_, Some(name)) => {
                    self.defines.insert(name);
                }
                _ => {}
            }
        }
        self.depth += 1;
        visit::visit_item(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = matches!(
            item.vis,
            syn::Visibility::Public(_) | syn::Visibility::Restricted(_)
        );
        self.imported(&[], &item.tree, public && self.depth == 1);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|s| s.ident.to_string());
            self.uses.push(names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}
