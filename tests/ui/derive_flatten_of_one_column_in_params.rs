//! error[E0277]: what is flattened has columns
//! says: a field with `#[finalite(flatten)]` is such a struct, too
use finalite::Params;

#[derive(Params)]
struct Post {
    title: String,
    #[finalite(flatten)]
    author: Author,
}

#[derive(Params)] //~ passes
#[derive(Clone)] //~ fails
struct Author {
    name: String,
}

fn main() {}
