//! The plan of a scan.

use std::fmt;
use std::sync::Arc;

use datafusion_common::arrow::datatypes::SchemaRef;
use datafusion_common::stats::Precision;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, Statistics, assert_or_internal_err};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_expr::Expr;
use datafusion_physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion_physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion_physical_plan::statistics::StatisticsArgs;
use datafusion_physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

use crate::filter::{Condition, conditions};
use crate::source::Source;
use crate::stream::{Query, SqliteStream};

/// Part of the rows that a condition leaves, for estimates: DataFusion's own.
const SELECTIVITY: usize = 5;

#[derive(Clone, Debug)]
pub(crate) struct SqliteScan {
    source: Arc<Source>,
    /// Columns to read; the schema has the same.
    projection: Arc<[usize]>,
    schema: SchemaRef,
    /// Filters that the condition stands for, exactly or not.
    filters: Arc<[Expr]>,
    condition: Option<Condition>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SqliteScan {
    pub(crate) fn new(
        source: &Arc<Source>,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Self> {
        let projection: Arc<[usize]> = match projection {
            Some(projection) => projection.as_slice().into(),
            None => (0..source.schema.fields().len()).collect(),
        };
        let schema = Arc::new(source.schema.project(&projection)?);
        let (condition, is_exact) = conditions(source, filters);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        // Tokio's channels take part in it.
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self {
            source: Arc::clone(source),
            projection,
            schema,
            filters: filters.into(),
            condition,
            // Rows that DataFusion removes must not count.
            limit: limit.filter(|_| is_exact),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for SqliteScan {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: Vec<String>| items.join(", ");
        let projection = list(self.schema.fields().iter().map(|field| field.name().clone()).collect());
        let filters = list(self.filters.iter().map(ToString::to_string).collect());
        let table = &self.source.name;
        if matches!(format, DisplayFormatType::TreeRender) {
            writeln!(f, "table={table}")?;
            writeln!(f, "projection={projection}")?;
            if !self.filters.is_empty() {
                writeln!(f, "filters={filters}")?;
            }
            return self.limit.map_or(Ok(()), |limit| writeln!(f, "limit={limit}"));
        }
        write!(f, "SqliteScan: table={table}, projection=[{projection}]")?;
        if !self.filters.is_empty() {
            write!(f, ", filters=[{filters}]")?;
        }
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for SqliteScan {
    fn name(&self) -> &'static str {
        "SqliteScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        assert_or_internal_err!(partition == 0, "SqliteScan has one partition, and not partition {partition}");
        let query = Query {
            source: Arc::clone(&self.source),
            projection: Arc::clone(&self.projection),
            schema: Arc::clone(&self.schema),
            condition: self.condition.clone(),
            limit: self.limit,
            rows: context.session_config().batch_size(),
        };
        Ok(Box::pin(SqliteStream::new(query, BaselineMetrics::new(&self.metrics, partition))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(rows) = self.source.rows {
            let rows = if self.condition.is_some() { rows.div_ceil(SELECTIVITY) } else { rows };
            statistics.num_rows = Precision::Inexact(self.limit.map_or(rows, |limit| rows.min(limit)));
        }
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { limit, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }
}
