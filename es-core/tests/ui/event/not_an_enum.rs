use es_core::Event;

#[derive(Event)]
struct PostingSaved {
    output: String,
}

#[derive(Event)]
union Either {
    whole: i64,
    fraction: f64,
}

fn main() {}
