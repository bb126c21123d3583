//! Rows, changes and what is refused before any store is asked.

use super::super::Definition;
use super::*;
use crate::event::RecordedEvent;
use crate::payload::Payload;
use crate::{Aggregate, AggregateId, Event};
use ShelfEvent::*;
use es_macros::TableRow;

#[derive(Debug, Clone, PartialEq, AggregateId)]
struct ShelfId(String);

impl From<&str> for ShelfId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[derive(Debug, Event)]
enum ShelfEvent {
    ShelfMade { owner: Option<String> },
    BookAdded { pages: i64 },
    ShelfRemoved,
}

#[derive(Default, Clone)]
struct Shelf;

impl Aggregate for Shelf {
    const TYPE: &'static str = "shelf";
    type Id = ShelfId;
    type Event = ShelfEvent;

    fn evolve(&mut self, _: &ShelfEvent) {}
}

#[derive(Debug, PartialEq, TableRow)]
#[table(name = "shelves", index(owner), index(pages))]
struct ShelfRow {
    #[table(key)]
    id: ShelfId,
    owner: Option<String>,
    pages: u32,
    tags: Json<Vec<String>>,
}

#[derive(Debug, PartialEq, TableRow)]
#[table(name = "owners")]
struct OwnerRow {
    #[table(key)]
    owner: String,
    #[table(key)]
    shelf: ShelfId,
    weight: f64,
}

fn shelf(id: ShelfId) -> ShelfRow {
    ShelfRow { id, owner: None, pages: 0, tags: Json(vec!["new".to_owned()]) }
}

impl TableProjection for ShelfRow {
    type Event = ShelfEvent;
    type Tables = Self;

    fn project(event: &Envelope<'_, ShelfEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.aggregate_id::<Shelf>()?;
        match &event.data {
            ShelfMade { owner } => rows.upsert(Self { owner: owner.clone(), ..shelf(id) }),
            BookAdded { pages } => rows.update::<Self>(id, "pages = pages + $1", *pages),
            ShelfRemoved => panic!("no shelf is removed"),
        }
        Ok(())
    }
}

struct Both;

impl TableProjection for Both {
    type Event = ShelfEvent;
    type Tables = (ShelfRow, OwnerRow);
    const NAME: &'static str = "library";

    fn project(event: &Envelope<'_, ShelfEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        if let ShelfMade { owner } = &event.data {
            let owner = owner.clone().unwrap_or_default();
            let weight = if owner.is_empty() { f64::NAN } else { 1.5 };
            rows.upsert(OwnerRow { owner: owner.clone(), shelf: "s-1".into(), weight });
            rows.delete::<OwnerRow>((owner, ShelfId::from("s-2")));
            rows.delete_where::<ShelfRow>("owner IS NULL", ());
        }
        Ok(())
    }
}

/// A projection that writes into a table which it does not name.
struct Stray;

impl TableProjection for Stray {
    type Event = ShelfEvent;
    type Tables = OwnerRow;

    fn project(_: &Envelope<'_, ShelfEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        rows.delete::<ShelfRow>("s-1");
        Ok(())
    }
}

fn recorded(event_type: &str, payload: &str) -> RecordedEvent {
    RecordedEvent {
        event_id: crate::event::EventId::stand_in(crate::backend::Position::START),
        stream: crate::backend::StreamId::new("shelf", "s-1").unwrap(),
        version: crate::execution::StreamVersion::FIRST,
        position: crate::backend::Position::START,
        event_type: event_type.into(),
        payload: Payload::parse(payload.to_owned()).unwrap(),
        metadata: crate::event::Metadata::default(),
        recorded_at: crate::backend::Timestamp::from_micros(0),
    }
}

fn refused(definition: &Definition, event: &RecordedEvent, why: &str) {
    let error = definition.table_changes(std::slice::from_ref(event)).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_row_comes_back_from_its_values() {
    let row = || ShelfRow { owner: Some("anna".to_owned()), pages: 7, ..shelf("s-1".into()) };
    assert_eq!(ShelfRow::from_values(row().into_values()).unwrap(), row());
    let mut values = row().into_values();
    values[2] = SqlValue::Int(-1);
    let error = ShelfRow::from_values(values).unwrap_err();
    assert_eq!(error.to_string(), "column `pages`: -1 is no `u32`");
    let mut values = row().into_values();
    values[0] = SqlValue::Int(1);
    let error = ShelfRow::from_values(values).unwrap_err();
    assert_eq!(error.to_string(), "column `id`: int where text is wanted");
    let error = ShelfRow::from_values(Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "column `id`: it is not there");
}

/// A row with a column whose name is a word of Rust.
#[derive(Debug, PartialEq, TableRow)]
#[table(name = "kinds", index(r#type))]
struct KindRow {
    #[table(key)]
    id: i64,
    r#type: String,
}

#[test]
fn a_word_of_rust_is_a_column_as_others_are() {
    let row = || KindRow { id: 1, r#type: "a".to_owned() };
    assert_eq!(KindRow::from_values(row().into_values()).unwrap(), row());
    assert_eq!(KindRow::SCHEMA.indexes, [&["type"][..]]);
    assert_eq!(KindRow::SCHEMA.index_name(&["type", "id"]), "kinds(type,id)");
    assert!(problem(&[KindRow::SCHEMA]).is_ok());
}

#[test]
fn a_changed_struct_is_a_changed_model() {
    let fingerprint = Definition::table::<ShelfRow>();
    let shelves = "shelves(id text key, owner text null, pages int 0..=4294967295, tags json)";
    let kinds = "[*] [book_added, shelf_made, shelf_removed]";
    let wanted = format!("shelves v1 tables [{shelves}] {kinds}");
    assert_eq!(fingerprint.fingerprint(), wanted);
    let both = Definition::table::<Both>();
    let owners = "owners(owner text key, shelf text key, weight float)";
    let wanted = format!("library v1 tables [{shelves}, {owners}] {kinds}");
    assert_eq!((both.fingerprint(), both.name()), (wanted.as_str(), "library"));
    assert_eq!(both.tables().len(), 2);
    assert_eq!(ShelfRow::SCHEMA.indexes, [&["owner"][..], &["pages"]]);
}

#[test]
fn zero_has_no_sign() {
    let SqlValue::Float(zero) = (-0.0_f64).into_value() else { panic!("it is a float") };
    assert!(zero.is_sign_positive());
    assert_eq!((-1.5_f64).into_value(), SqlValue::Float(-1.5));
}

#[test]
fn a_column_takes_what_its_field_does() {
    let [id, owner, pages, _] = ShelfRow::SCHEMA.columns else { panic!("it has four columns") };
    let (text, null) = (SqlValue::Text("a".to_owned()), SqlValue::Null(SqlType::Text));
    assert_eq!((id.takes(&text), id.takes(&null)), (true, false));
    assert_eq!((owner.takes(&text), owner.takes(&null)), (true, true));
    for (number, is_taken) in [(-1, false), (0, true), (4_294_967_295, true), (1 << 32, false)] {
        assert_eq!(pages.takes(&SqlValue::Int(number)), is_taken, "{number}");
    }
    assert_eq!(<Option<i32> as SqlColumn>::RANGE, Some((-2_147_483_648, 2_147_483_647)));
}

#[test]
fn an_event_is_changes_as_data() {
    let made = recorded("shelf_made", r#"{"owner":"anna"}"#);
    let added = recorded("book_added", r#"{"pages":3}"#);
    let changes = Definition::table::<ShelfRow>().table_changes(&[made, added]).unwrap();
    let row = ShelfRow { owner: Some("anna".to_owned()), ..shelf("s-1".into()) };
    let table = &ShelfRow::SCHEMA;
    let upsert = TableChange::Upsert { table, values: row.into_values(), set: None };
    let update = TableChange::Update {
        table,
        rows: Which::Key(vec![SqlValue::Text("s-1".to_owned())]),
        set: "pages = pages + $1",
        values: vec![SqlValue::Int(3)],
    };
    assert_eq!(changes, [upsert, update]);
}

#[test]
fn what_no_store_carries_out_fails_the_event() {
    let both = Definition::table::<Both>();
    let made = |owner: &str| recorded("shelf_made", &format!(r#"{{"owner":"{owner}"}}"#));
    assert_eq!(both.table_changes(&[made("anna")]).unwrap().len(), 3);
    refused(&both, &made(""), "float for table `owners` cannot be stored");
    refused(&both, &made("\\u0000"), "U+0000");
    // with that of the shelf
    assert!(both.table_changes(&[made(&"o".repeat(1_021))]).is_ok());
    refused(&both, &made(&"o".repeat(1_022)), "a key of table `owners` have 1025 bytes");
    refused(&Definition::table::<Stray>(), &made("anna"), "table `shelves` is none of");
    let removed = recorded("shelf_removed", "{}");
    refused(&Definition::table::<ShelfRow>(), &removed, "no shelf is removed");
}

/// A projection whose SQL goes beyond its place.
struct Breaks<const N: usize>;

const BREAKS: [&str; 16] = [
    "true) OR (true",
    "true); COMMIT; SELECT (1",
    "true --",
    "owner = '",
    "(true",
    "owner = $x$($x$) OR (true AND owner = $x$)$x$",
    "owner = E'\\'' OR owner = '",
    "pages = 1e'\\'' OR owner = '",
    // names in SQLite's other quotes, with an apostrophe in them
    "id IN ([']) ) OR (1 IN ([']))",
    "id = `'` ) OR (id = `'`",
    "pages = (Select max(pages) FROM shelves)",
    "id IN (TABLE shelves)",
    "generation = 7",
    "\"generation\" = 7",
    "U&\"gener\\0061tion\" = 7",
    "owner = u&'\\0061'",
];

impl<const N: usize> TableProjection for Breaks<N> {
    type Event = ShelfEvent;
    type Tables = ShelfRow;

    fn project(_: &Envelope<'_, ShelfEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let fits = "owner = 'o''hara (jr)' OR owner LIKE'$e' OR \"owner\" = '[select` generation'";
        rows.update_where::<ShelfRow>(fits, "pages = (1 - 1) / 2", ());
        rows.delete_where::<ShelfRow>(BREAKS[N], ());
        Ok(())
    }
}

#[test]
fn sql_that_goes_beyond_its_place_fails_the_event() {
    let removed = recorded("shelf_removed", "{}");
    macro_rules! definitions {
        ($($number:literal)*) => { [$(Definition::table::<Breaks<$number>>()),*] };
    }
    let definitions: [_; BREAKS.len()] = definitions!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for (definition, sql) in definitions.iter().zip(BREAKS) {
        refused(definition, &removed, &format!("`{sql}` for table `shelves`"));
    }
}

#[test]
fn tables_that_cannot_be_made_are_refused() {
    let column =
        |name, sql_type, is_key| Column { name, sql_type, is_key, is_nullable: false, range: None };
    let refused = |name, columns: Vec<Column>, why: &str| {
        let table = TableSchema { name, columns: columns.leak(), indexes: &[] };
        let error = problem(&[table]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused("days", vec![column("day", SqlType::Int, false)], "has no key");
    refused("days", vec![column("day", SqlType::Float, true)], "cannot be in the key");
    let empty = Column { is_nullable: true, ..column("day", SqlType::Int, true) };
    refused("days", vec![empty], "`day`, int or nothing, cannot be in the key");
    refused("days", vec![column("generation", SqlType::Int, true)], "`generation`");
    refused("days", vec![column("xmin", SqlType::Int, true)], "`xmin`");
    for name in ["Days", "excluded", "pg_days", "sqlite_days"] {
        refused(name, vec![column("day", SqlType::Int, true)], &format!("`{name}`"));
    }
    const LONG: &[&str] =
        &["a_name_of_twenty_bytes", "b_name_of_twenty_bytes", "c_name_of_twenty_bytes"];
    const NO_COLUMN: &[&str] = &["no_such_column"];
    let columns = LONG.iter().map(|name| column(*name, SqlType::Int, true));
    let columns: &[Column] = columns.collect::<Vec<_>>().leak();
    for index in [NO_COLUMN, LONG, &[]] {
        let table = TableSchema { name: "days", columns, indexes: vec![index].leak() };
        let error = problem(&[table]).unwrap_err().to_string();
        assert!(error.contains(&format!("`days({})`", index.join(","))), "{error}");
    }
    let twice = problem(&[ShelfRow::SCHEMA, ShelfRow::SCHEMA]).unwrap_err();
    assert!(twice.to_string().contains("two tables"), "{twice}");
}
