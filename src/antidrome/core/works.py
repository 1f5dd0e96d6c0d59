"""The registry of the works that Antidrome cites: its own, the papers of its methods, the formats that it reads."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Work:
    """One citable work; ``entry_type`` and ``fields`` are those of BibTeX."""

    key: str
    role: str
    entry_type: str
    fields: Mapping[str, str]

    @property
    def text(self) -> str:
        """The work as one line of text."""
        fields = self.fields
        names = [name.strip("{}").split(",")[0] for name in fields["author"].split(" and ")]
        authors = " & ".join(names) if len(names) <= 2 else f"{names[0]} et al."
        venue = next((fields[name] for name in ("journal", "booktitle", "howpublished") if name in fields), "")
        volume = f" {fields['volume']}" if "volume" in fields else ""
        pages = f", {fields['pages'].replace('--', '–')}" if "pages" in fields else ""
        link = f" https://doi.org/{fields['doi']}" if "doi" in fields else ""
        return f"{authors} ({fields['year']}). {_without_braces(fields['title'])}. {venue}{volume}{pages}.{link}"

    @property
    def bibtex(self) -> str:
        """The work as a BibTeX entry."""
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in self.fields.items())
        return f"@{self.entry_type}{{{self.key},\n{lines}}}"


def _without_braces(text: str) -> str:
    return text.replace("{", "").replace("}", "")


def _register(key: str, role: str, entry_type: str, **fields: str) -> tuple[str, Work]:
    return key, Work(key, role, entry_type, fields)


FORMATS = {"nwb": "rubel2022", "suite2p": "pachitariu2017", "caiman": "giovannucci2019"}

WORKS: Mapping[str, Work] = dict(
    (
        _register(
            "antidrome",
            "Software",
            "software",
            author="{The Antidrome authors}",
            title="{Antidrome}: neural models run backwards, from a recording to its causes",
            howpublished="Python package",
            year="2026",
        ),
        _register(
            "speiser2017",
            "Spike inference by amortised variational inference",
            "inproceedings",
            author="Speiser, Artur and Yan, Jinyao and Archer, Evan and Buesing, Lars and Turaga, Srinivas C. and "
            "Macke, Jakob H.",
            title="Fast amortized inference of neural activity from calcium imaging data with variational autoencoders",
            booktitle="Advances in Neural Information Processing Systems",
            volume="30",
            year="2017",
        ),
        _register(
            "nonnenmacher2017",
            "Dynamics stitched from partial recordings",
            "inproceedings",
            author="Nonnenmacher, Marcel and Turaga, Srinivas C. and Macke, Jakob H.",
            title="Extracting low-dimensional dynamics from multiple large-scale neural population recordings by "
            "learning to predict correlations",
            booktitle="Advances in Neural Information Processing Systems",
            volume="30",
            year="2017",
        ),
        _register(
            "ansuini2019",
            "Intrinsic dimension",
            "inproceedings",
            author="Ansuini, Alessio and Laio, Alessandro and Macke, Jakob H. and Zoccolan, Davide",
            title="Intrinsic dimension of data representations in deep neural networks",
            booktitle="Advances in Neural Information Processing Systems",
            volume="32",
            year="2019",
        ),
        _register(
            "facco2017",
            "Intrinsic dimension from two neighbours (TwoNN)",
            "article",
            author="Facco, Elena and d'Errico, Maria and Rodriguez, Alex and Laio, Alessandro",
            title="Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
            journal="Scientific Reports",
            volume="7",
            pages="12140",
            year="2017",
            doi="10.1038/s41598-017-11873-y",
        ),
        _register(
            "denti2022",
            "Intrinsic dimension against distance (Gride)",
            "article",
            author="Denti, Francesco and Doimo, Diego and Laio, Alessandro and Mira, Antonietta",
            title="The generalized ratios intrinsic dimension estimator",
            journal="Scientific Reports",
            volume="12",
            pages="20005",
            year="2022",
            doi="10.1038/s41598-022-20991-1",
        ),
        _register(
            "levina2004",
            "Intrinsic dimension by maximum likelihood",
            "inproceedings",
            author="Levina, Elizaveta and Bickel, Peter J.",
            title="Maximum likelihood estimation of intrinsic dimension",
            booktitle="Advances in Neural Information Processing Systems",
            volume="17",
            year="2004",
        ),
        _register(
            "mackay2005",
            "Averaging local dimensions",
            "misc",
            author="MacKay, David J. C. and Ghahramani, Zoubin",
            title="Comments on 'Maximum likelihood estimation of intrinsic dimension' by E. Levina and P. Bickel",
            howpublished="Note",
            year="2005",
        ),
        _register(
            "dinoia2024",
            "Intrinsic dimension at a selected scale (ABIDE)",
            "misc",
            author="Di Noia, Antonio and Macocco, Iuri and Glielmo, Aldo and Laio, Alessandro and Mira, Antonietta",
            title="Beyond the noise: intrinsic dimension estimation with optimal neighbourhood identification",
            howpublished="arXiv:2405.15132",
            year="2024",
        ),
        _register(
            "himeno2014",
            "Unbiased traces for the participation ratio",
            "article",
            author="Himeno, Tetsuto and Yamada, Takayuki",
            title="Estimations for some functions of covariance matrix in high dimension under non-normality and its "
            "applications",
            journal="Journal of Multivariate Analysis",
            volume="130",
            pages="27--44",
            year="2014",
            doi="10.1016/j.jmva.2014.04.020",
        ),
        _register(
            "horn1965",
            "Parallel analysis",
            "article",
            author="Horn, John L.",
            title="A rationale and test for the number of factors in factor analysis",
            journal="Psychometrika",
            volume="30",
            pages="179--185",
            year="1965",
            doi="10.1007/BF02289447",
        ),
        _register(
            "lueckmann2017",
            "Posteriors of mechanistic models (SNPE)",
            "inproceedings",
            author="Lueckmann, Jan-Matthis and Gonçalves, Pedro J. and Bassetto, Giacomo and Öcal, Kaan and "
            "Nonnenmacher, Marcel and Macke, Jakob H.",
            title="Flexible statistical inference for mechanistic models of neural dynamics",
            booktitle="Advances in Neural Information Processing Systems",
            volume="30",
            year="2017",
        ),
        _register(
            "papamakarios2016",
            "Neural posterior estimation",
            "inproceedings",
            author="Papamakarios, George and Murray, Iain",
            title="Fast ε-free inference of simulation models with {Bayesian} conditional density estimation",
            booktitle="Advances in Neural Information Processing Systems",
            volume="29",
            year="2016",
        ),
        _register(
            "greenberg2019",
            "Atomic loss (SNPE-C)",
            "inproceedings",
            author="Greenberg, David S. and Nonnenmacher, Marcel and Macke, Jakob H.",
            title="Automatic posterior transformation for likelihood-free inference",
            booktitle="Proceedings of the 36th International Conference on Machine Learning",
            volume="97",
            pages="2404--2414",
            year="2019",
        ),
        _register(
            "deistler2022",
            "Truncated proposals (TSNPE)",
            "inproceedings",
            author="Deistler, Michael and Gonçalves, Pedro J. and Macke, Jakob H.",
            title="Truncated proposals for scalable and hassle-free simulation-based inference",
            booktitle="Advances in Neural Information Processing Systems",
            volume="35",
            year="2022",
        ),
        _register(
            "durkan2019",
            "Density estimation by spline flows",
            "inproceedings",
            author="Durkan, Conor and Bekasov, Artur and Murray, Iain and Papamakarios, George",
            title="Neural spline flows",
            booktitle="Advances in Neural Information Processing Systems",
            volume="32",
            year="2019",
        ),
        _register(
            "rupprecht2021",
            "Ground-truth recordings and the noise level (CASCADE)",
            "article",
            author="Rupprecht, Peter and Carta, Stefano and Hoffmann, Adrian and Echizen, Mayumi and Blot, Antonin and "
            "Kwan, Alex C. and Dan, Yang and Hofer, Sonja B. and Kitamura, Kazuo and Helmchen, Fritjof and "
            "Friedrich, Rainer W.",
            title="A database and deep learning toolbox for noise-optimized, generalized spike inference from calcium "
            "imaging",
            journal="Nature Neuroscience",
            volume="24",
            pages="1324--1337",
            year="2021",
            doi="10.1038/s41593-021-00895-5",
        ),
        _register(
            "friedrich2017",
            "Deconvolution (OASIS)",
            "article",
            author="Friedrich, Johannes and Zhou, Pengcheng and Paninski, Liam",
            title="Fast online deconvolution of calcium imaging data",
            journal="PLOS Computational Biology",
            volume="13",
            pages="e1005423",
            year="2017",
            doi="10.1371/journal.pcbi.1005423",
        ),
        _register(
            "rubel2022",
            "Data format (Neurodata Without Borders)",
            "article",
            author="Rübel, Oliver and Tritt, Andrew and Ly, Ryan and Dichter, Benjamin K. and Ghosh, Satrajit and "
            "Niu, Lawrence and Baker, Pamela and Soltesz, Ivan and Ng, Lydia and Svoboda, Karel and Frank, Loren and "
            "Bouchard, Kristofer E.",
            title="The {Neurodata Without Borders} ecosystem for neurophysiological data science",
            journal="eLife",
            volume="11",
            pages="e78362",
            year="2022",
            doi="10.7554/eLife.78362",
        ),
        _register(
            "pachitariu2017",
            "Data format and extraction (suite2p)",
            "article",
            author="Pachitariu, Marius and Stringer, Carsen and Dipoppa, Mario and Schröder, Sylvia and "
            "Rossi, L. Federico and Dalgleish, Henry and Carandini, Matteo and Harris, Kenneth D.",
            title="Suite2p: beyond 10,000 neurons with standard two-photon microscopy",
            journal="bioRxiv",
            pages="061507",
            year="2017",
            doi="10.1101/061507",
        ),
        _register(
            "giovannucci2019",
            "Data format and extraction (CaImAn)",
            "article",
            author="Giovannucci, Andrea and Friedrich, Johannes and Gunn, Pat and Kalfon, Jérémie and "
            "Brown, Brandon L. and Koay, Sue Ann and Taxidis, Jiannis and Najafi, Farzaneh and "
            "Gauthier, Jeffrey L. and Zhou, Pengcheng and Khakh, Baljit S. and Tank, David W. and "
            "Chklovskii, Dmitri B. and Pnevmatikakis, Eftychios A.",
            title="{CaImAn} an open source tool for scalable calcium imaging data analysis",
            journal="eLife",
            volume="8",
            pages="e38173",
            year="2019",
            doi="10.7554/eLife.38173",
        ),
        _register(
            "altan2021",
            "Dimension of recorded populations",
            "article",
            author="Altan, Ege and Solla, Sara A. and Miller, Lee E. and Perreault, Eric J.",
            title="Estimating the dimensionality of the manifold underlying multi-electrode neural recordings",
            journal="PLOS Computational Biology",
            volume="17",
            pages="e1008591",
            year="2021",
            doi="10.1371/journal.pcbi.1008591",
        ),
    )
)
