//! The `biorule` command.

#[global_allocator]
static ALLOCATOR: biorule::allocator::Watched = biorule::allocator::Watched;

fn main() -> ! {
    biorule::allocator::end_with_words();
    // Before any thread starts. The pools are made once the configuration is read.
    biorule::threads::setup();
    biorule::cli::main(biorule::app::open)
}
