"""Annotation pages in XML, from people nobody vouches for: no entities, no document type."""

from xml.etree import ElementTree

from hemadata.errors import FormatError


def root_of(page: str) -> ElementTree.Element:
    """The root of a page.

    Raises:
        FormatError: not XML, or it declares what could grow without bound.
    """
    if "<!ENTITY" in page or "<!DOCTYPE" in page:
        raise FormatError("the page declares entities or a document type; none is needed, so it is not read")
    try:
        return ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        raise FormatError(f"not an XML page: {error}") from error
