"""Conditional densities: mixture-density networks with Bayesian weights, spline flows, ensembles of either."""
