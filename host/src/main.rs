//! The `biorule` command.

fn main() -> ! {
    biorule::cli::main(biorule::app::open)
}
