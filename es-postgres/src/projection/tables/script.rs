//! What is missing of tables as a script, for who may make it.

use es_core::TableProjection;
use es_core::backend::{Definition, SinkError};

use crate::sql::Statement;
use crate::store::PostgresStore;

/// The statements as one transaction; nothing if there are none.
pub(super) fn script(statements: &[Statement]) -> String {
    if statements.is_empty() {
        return String::new();
    }
    let mut script = "BEGIN;\nSET LOCAL search_path = pg_catalog;\n\
                      SET LOCAL standard_conforming_strings = on;\n"
        .to_owned();
    for statement in statements {
        script += &format!("\n{};\n", statement.sql().as_str().trim_end());
    }
    script + "\nCOMMIT;\n"
}

impl PostgresStore {
    /// What makes what is missing of the tables of a projection, as a script for who may make them;
    /// empty if they are as they should be.
    ///
    /// Whoever claims a model makes its tables. A login that may not is refused as
    /// [`Unusable`](SinkError::Unusable) until somebody has run this script, which the refusal has in
    /// it, too; best the owner of the store's tables. It grants the same rights as there are on
    /// `{events}_projection_rows`, and on the view those to read `{events}_projection_active`.
    ///
    /// ```no_run
    /// # use es_core::TableProjection;
    /// # use es_core::backend::SinkError;
    /// # async fn example<OpenOrder: TableProjection>(
    /// #     store: es_postgres::PostgresStore,
    /// # ) -> Result<(), SinkError> {
    /// println!("{}", store.table_script::<OpenOrder>().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SinkError::Unusable`] if tables of these names are there that cannot become such, or a
    /// failure of the store. To look takes no right but to see models.
    pub async fn table_script<P: TableProjection>(&self) -> Result<String, SinkError> {
        let definition = Definition::table::<P>();
        definition.check()?;
        let tables = definition.tables();
        let missing = self.projections().missing(definition.name(), &tables).await?;
        Ok(script(&missing))
    }
}
