use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(name = "posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_long")]
    PostingSaved,
    #[event(alias = "com.acme.shop.v1.posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_long")]
    PostingKept,
}

fn main() {}
