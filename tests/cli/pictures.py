"""Small JPEGs of each colour space (made once with Pillow), and damaged ones cut from them."""

import base64

COLOUR = base64.b64decode(  # 48 x 40
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt"
    "QFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT0//wAARCAAoADADASIAAhEBAxEB/8QAGgAAAgMBAQAAAAAAAAAAAAAAAAUDBAYCAf/E"
    "ACYQAAECBAYBBQAAAAAAAAAAAAABAgMEESEFEhQxMlFBIzNhcYH/xAAXAQEBAQEAAAAAAAAAAAAAAAAFBAYD/8QAIhEA"
    "AgICAQMFAAAAAAAAAAAAAAIBBAMREiEiMQUTMjNB/9oADAMBAAIRAxEAPwBWCk2Q6SFUpvZllBavPtNtjmV5DyUVKChr"
    "MlyRs1k8gOGdyVZ7uN46GlgqnZaRUpuhmYeIU8k6YjbkO147TJXar5X2pS07uiVkuvQ60Xwe6SngNtzPActPyXoIZqEr"
    "W2Ec097XWNfPwKN2MxOwvU/Q2s2pDcFd3/Sqx8ZdiWscuSstmpYZJIWSw7htQsaKJtpg7WNfROjhyJ0AElz4HR/AuxHi"
    "ZSe91PsACcBXS8F/D02HbUTKlgApMp6t9p//2Q=="
)

GREY = base64.b64decode(  # 40 x 40
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt"
    "QFdBRkxOUlNSMj5aYVpQYEpRUk//wAALCAAoACgBAREA/8QAGQAAAwEBAQAAAAAAAAAAAAAAAwQFBgAB/8QAJBAAAQMD"
    "AwQDAAAAAAAAAAAAAQADBAIFERIhMRMUIkEjMjP/2gAIAQEAAD8AMyPkC0du4CHO9paJyq7ZGgbqBRHxUDhU4x0Lx4a0"
    "vjpru8xtlMGmgDKXck0N+0VmQ3X7QZ9dNIOFBdkkOHdX3ncNErL3O49MnyTFtuGvG6dmyMjlQ3XfMrTyvwqWCvxOo7nl"
    "M2Unx3KuS+FIc+5X/9k="
)

CMYK = base64.b64decode(  # 40 x 40
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLUBX"
    "QUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgAKAAoBEMRAE0RAFkRAEsRAP/EABsAAAMAAwEBAAAAAAAAAAAAAAQFBgEDBwIA"
    "/8QALxAAAQMDAgQEBgIDAAAAAAAAAQACAwQFERIhEyIxMgYjQXEUJDM0QlEVgWFikf/aAA4EQwBNAFkASwAAPwBOOqrC"
    "RjqEdF9QIacHhO2KJjBwvDiP2E9oiNPX0UrdAdfT1SS6g82xWyNIr7+Sq/Cg7EnhBz0KxN0Qdg7x7qruvZ/SOaDp6FBu"
    "7l0Cl+3apKf6rkyhm1SAZSX+V/2UrwtO6ez2/wAl3KqO3U3FHT0WRc8nuX3xfCHVSd1oOfp6oK6W7u5U5t8/Fxuk9xqO"
    "LndUXhqm06NkrpbZk9qZTM2WywjDh7qjukXL/SastHIOVBOZzK9pT8u1Ss8Hmu2U3SOcali5gJ589VPyuYIzhWc8cXBc"
    "uj+HImvaM/pbo55cjJU5cZ3NJ0lSN2ji1H3W650rDnZWFhqQNOspaZS7qmNllhj05S6kpomnmCqXzRvGxTiyPa0jKb3G"
    "rgc3Y+icRilDBlDEAnKtqaoYIG7qbmliMh3XLKMfMs91zb4f/CkZKnLDuns9R5Tt10vw0OVvsvBjwUnrHasqTus+53R9"
    "dHnKY0dXwcboB7sIKK58H8kiqXcHKfUNw4uOZGW6o0Ebr1Ne9f5pa+6aXEak8jOpgKo4bhiMDKDdccnOpS9H9yz3UK4b"
    "JM4nCtZz5RXSfDfa32Q0qEmUtdfVNKr1QshP7QMynKonfcqYvPRya2QnUNys0p3QbXHPU/8AVHVBPGduVbU30GprGToG"
    "5W0E46lf/9k="
)


def oversized():
    """COLOUR with a header that claims 65500 x 65500 pixels."""
    at = COLOUR.index(b"\xff\xc0")  # SOF0: length, precision, height, width
    claim = (65500).to_bytes(2, "big") * 2
    return COLOUR[: at + 5] + claim + COLOUR[at + 9 :]


def truncated():
    """COLOUR without its second half."""
    return COLOUR[: len(COLOUR) // 2]


def coloured(i):
    """COLOUR with a comment that makes its bytes, and so its identity, differ from others."""
    comment = f"picture {i}".encode()
    return COLOUR[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + COLOUR[2:]
