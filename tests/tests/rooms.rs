//! The rooms of the host depend on each other as `docs/architecture.md` says, and files use each
//! other in a loop in few places, each within one room.

use std::collections::{BTreeMap, BTreeSet};

use biorule_tests::imports::Imports;
use biorule_tests::repository;

/// Circles that are left inside the rooms. It may only become smaller.
const CIRCLES: usize = 4;

/// Rooms of the page's table, each with those that it may use.
fn promised() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(repository().join("docs/architecture.md"))
        .expect("the architecture page");
    let quoted = |cell: &str| -> BTreeSet<String> {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    };
    let rows = page.lines().filter(|l| l.starts_with("| `host/src/"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let room = quoted(cells[0]).pop_first().expect("a room");
        let room = room
            .trim_start_matches("host/src/")
            .trim_end_matches(".rs")
            .trim_end_matches('/');
        (room.to_owned(), quoted(cells.last().expect("cells")))
    })
    .collect()
}

#[test]
fn rooms_depend_in_one_direction() {
    let promised = promised();
    let imports = Imports::read(&repository().join("host/src")).expect("the host's source");
    let rooms = imports.rooms();
    let mut wrong = Vec::new();
    for ((from, to), files) in &rooms {
        if !promised.get(from).is_some_and(|may| may.contains(to)) {
            wrong.push(format!("{from} uses {to}: {}", files.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A promise that nothing needs is stale, and promises themselves lead down only.
    let mut floors: Vec<&str> = Vec::new();
    while floors.len() < promised.len() {
        let next = promised.iter().find(|(room, uses)| {
            !floors.contains(&room.as_str()) && uses.iter().all(|u| floors.contains(&u.as_str()))
        });
        let (room, _) = next.unwrap_or_else(|| panic!("a circle among rooms above {floors:?}"));
        floors.push(room);
    }
    for (from, uses) in &promised {
        for to in uses {
            let used = rooms.contains_key(&(from.clone(), to.clone()));
            assert!(used, "the page says that {from} uses {to}, and it does not");
        }
    }
    println!("rooms, lowest first: {floors:?}; {} arrows", rooms.len());
}

/// Circles of the host, of its kernels and of the plugin interface; the last two are one room each.
#[test]
fn files_use_each_other_in_a_loop_in_few_places() {
    let mut circles = 0;
    let mut wide = Vec::new();
    for source in ["host/src", "host/kernels/src", "plugin-api/src"] {
        let imports = Imports::read(&repository().join(source)).expect("source");
        for circle in imports.circles() {
            circles += 1;
            println!(
                "{source}: {}\n  {}",
                circle.join(" "),
                imports.within(&circle).join("\n  ")
            );
            let room = |file: &String| file.split("::").next().map(str::to_owned);
            let rooms: BTreeSet<_> = circle.iter().filter_map(room).collect();
            if source == "host/src" && rooms.len() > 1 {
                wide.push(circle);
            }
        }
    }
    assert!(
        wide.is_empty(),
        "circles through more than one room: {wide:?}"
    );
    assert!(circles <= CIRCLES, "{circles} circles, {CIRCLES} are known");
}
