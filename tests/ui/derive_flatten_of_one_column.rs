//! error[E0277]: what is flattened has columns
//! says: a field that is one column has no `flatten`
use finalite::FromRow;

#[derive(FromRow)]
struct Post {
    title: String,
    #[finalite(flatten)]
    author: Author,
}

#[derive(FromRow)] //~ passes
#[derive(Clone)] //~ fails
struct Author {
    name: String,
}

fn main() {}
